"""sepbench: craft protective perturbations, train victims on them, compare what is left."""

__version__ = "0.1.0"
