"""Faults that happen to sweeps, injected at random: after each the same command ends with the undisturbed numbers."""
