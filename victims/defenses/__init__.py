"""Training defenses, one file each."""
