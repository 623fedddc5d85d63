"""What a person asks for in one call, made of plans, runs and what is read of them."""
