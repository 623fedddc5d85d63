"""What is promised, in the order of the house; `making` holds what tests are made with."""
