"""What only the pages need: style, figures, the small network, widgets, pictures."""
