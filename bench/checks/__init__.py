"""What plug-ins promise, as checks that need no checkout: a function for each promise, which says how it is broken."""
