"""Protection methods, one file each. A new file here, or an entry point `sepbench.methods`, is a new method."""
