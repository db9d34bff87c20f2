"""Train one network from its settings to its record, or several in parallel."""
