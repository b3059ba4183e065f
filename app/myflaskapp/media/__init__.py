"""Photos, and the stores of their files."""
