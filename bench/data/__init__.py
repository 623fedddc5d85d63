"""Data sets: how images and labels come in, whatever they are stored as."""
