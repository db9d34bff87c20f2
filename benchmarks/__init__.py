"""How fast bopkit is, as ratios of two things measured in turn: `make bench`."""
