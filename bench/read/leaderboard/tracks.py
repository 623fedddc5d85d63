"""Tracks: what may be compared is one norm at one size."""

NORMS = ("linf", "l2", "l0", "unbounded")
UNBOUNDED = "unbounded"
CLEAN_ONLY = "none"


def budget_name(norm: str | None, size: float | None) -> str:
    """Return the track of a budget as it is written elsewhere, such as `linf-8`; `unbounded` has no size."""
    return UNBOUNDED if norm in (None, UNBOUNDED) else f"{norm}-{size or 0:g}"


def track_title(track: str) -> str:
    """Return a track as people read it, such as `L∞ ≤ 8/255`."""
    norm, _, size = track.partition("-")
    return {
        "linf": f"L∞ ≤ {size}/255",
        "l2": f"L2 ≤ {size}",
        "l0": f"L0 ≤ {size} pixel{'' if size == '1' else 's'}",
        UNBOUNDED: "unbounded",
        CLEAN_ONLY: "no perturbation",
    }[norm]


def track_order(track: str) -> tuple[int, float]:
    """Return a sort key: norms in their order, small budgets first, clean images alone last."""
    norm, _, size = track.partition("-")
    return (*NORMS, CLEAN_ONLY).index(norm), float(size or 0)
