"""Files and text: what every other room may use, and nothing of Bop or TensorFlow."""
