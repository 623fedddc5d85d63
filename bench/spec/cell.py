"""One victim run of an experiment."""

from dataclasses import dataclass
from typing import Any

from bench.contracts.budget import Budget
from bench.contracts.defense import Defenses
from bench.core.keys import canonical
from bench.spec.axes import AXES, SEEDS, unusual_marks
from bench.spec.method_row import MethodRow


@dataclass(frozen=True)
class Cell:
    """One victim run: what was done to the images, and who trains on them.

    `method_label` is what its experiment calls the method: the name, and what tells it from others of that name.
    """

    method: MethodRow
    budget: Budget | None
    victim: str
    defense: Defenses
    seed: int
    surrogate_seed: int
    craft_seed: int
    protected_fraction: float = 1.0
    clean_images: int = 0
    method_label: str = ""

    def identity(self) -> str:
        """Return one text that tells this cell from every other of its experiment."""
        return canonical({**self.fields(), "method_params": self.method.params_json()})

    def fields(self) -> dict[str, Any]:
        """Return the cell's identity as it stands in a record, but for the method's parameters."""
        return {
            "method": self.method.known_as,
            "norm": self.budget.norm if self.budget else None,
            "budget": self.budget.size if self.budget else None,
            "victim": self.victim,
            "defense": str(self.defense),
            "seed": self.seed,
            "surrogate_seed": self.surrogate_seed,
            "craft_seed": self.craft_seed,
            "protected_fraction": self.protected_fraction,
            "clean_images": self.clean_images,
        }

    @classmethod
    def selectable(cls) -> list[str]:
        """Return the fields by which people choose cells."""
        return [name for name in (*AXES, *SEEDS) if name not in ("dataset", "recipe")]

    def texts(self, field: str) -> list[str]:
        """Return what a person may write for the value of a selectable field, the usual way first."""
        fields = self.fields()
        return AXES[field].texts(fields) if field in AXES else [str(fields[field])]

    def __str__(self) -> str:
        method = self.method_label or self.method.known_as
        protected = f"{method} {self.budget}" if self.budget else method
        return " · ".join(
            [protected, *unusual_marks(self.fields()), self.victim, str(self.defense), f"seed {self.seed}"]
        )
