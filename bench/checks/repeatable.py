"""What a result depends on besides its inputs: the global random streams, the clock, the order of memory."""

from collections.abc import Callable

from torch import Tensor

from bench.checks.failure import Failure
from bench.checks.inputs import global_chance, same

_STREAMS = {"torch": (1, 0, 0), "numpy": (0, 1, 0), "random": (0, 0, 1)}


def check_chance(make: Callable[[], tuple[Tensor, ...]], what: str, instead: str, hook: str) -> None:
    """Fail where a function returns other tensors the second time, or where a global random stream is another.

    Parameters
    ----------
    what
        What it makes, such as `the images`.
    instead
        Where to draw from, as advice.
    hook
        The function of the plug-in that makes it.

    """

    def made(seeds: tuple[int, int, int]) -> tuple[Tensor, ...]:
        with global_chance(*seeds):
            return make()

    first = made((0, 0, 0))
    if not same(first, made((0, 0, 0))):
        raise Failure(
            f"{what} come out other when {hook} is called again with the same inputs: {instead}, and from no clock, "
            f"no generator of its own without a seed, and nothing that an earlier call has left",
            hook,
        )
    depends = [name for name, seeds in _STREAMS.items() if not same(first, made(seeds))]
    if depends:
        names = " and ".join(f"{name}'s" for name in depends)
        raise Failure(f"{what} depend on {names} global random state in {hook}: {instead}", hook)
