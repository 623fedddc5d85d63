"""Small real things to test with, and slow references that are obviously right."""
