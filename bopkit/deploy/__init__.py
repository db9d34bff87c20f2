"""Write trained networks to small files, and load them."""
