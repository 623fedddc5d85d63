"""Tracks: what may be compared is one norm at one size."""

from dataclasses import dataclass

from bench.core.norms import NORMS, UNBOUNDED, beside, budget_text
from bench.spec.names import USUAL_BUDGET


@dataclass(frozen=True)
class Track:
    """A norm at a size, which `unbounded` has not; a track without a norm holds clean images alone."""

    norm: str | None
    size: float | None = None

    @property
    def name(self) -> str:
        """The budget as it is written elsewhere, such as `linf-8`."""
        return "none" if self.norm is None else budget_text(self.norm, self.size)

    @property
    def title(self) -> str:
        """The budget as people read it, such as `L∞ ≤ 8/255`."""
        return "no perturbation" if self.norm is None else NORMS[self.norm].title(self.size or 0)

    @property
    def beside(self) -> tuple[str, ...]:
        """Fields of the audit that stand beside every number of the track."""
        return beside(self.norm)

    @property
    def order(self) -> tuple[int, float]:
        """A sort key: norms in their order, small budgets first, clean images alone last."""
        return (*NORMS, None).index(self.norm), self.size or 0


CLEAN_ONLY = Track(None)
USUAL = Track(*USUAL_BUDGET)


def track_of(method: str, norm: str | None, size: float | None) -> Track | None:
    """Return the track of a result; None for the clean reference, which stands in all of them."""
    return None if method == "none" else Track(norm or UNBOUNDED, size)
