"""Which axes are columns and filters of the leaderboard."""

from bench.spec.axes import Axis, axes_in_order


def column_axes() -> list[Axis]:
    """Return the axes with a column and a filter: all but the row's method, the track's budget, and what is rarely set.

    What is rarely set stands as a mark beside the method where it is.
    """
    order = axes_in_order("dataset", "victim", "defense", "recipe")
    return [axis for axis in order if axis.usual is None and not axis.of_release]


def setting_fields() -> list[str]:
    """Return the record fields that make a run's setting, as its details list them."""
    axes = axes_in_order("recipe", "dataset", "method", "budget")
    return [
        "experiment",
        "profile",
        "overrides",
        *(field for axis in axes for field in axis.fields),
        "protected_classes",
    ]
