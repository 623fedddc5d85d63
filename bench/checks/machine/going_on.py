"""What was stopped and goes on, against what nobody disturbed: on a CPU the same bits."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bench.checks.machine.alikeness import distance, flattened
from bench.checks.machine.crafting_agrees import ONLINE, crafted
from bench.checks.machine.machine import Machine
from bench.checks.machine.measured import Measured, held
from bench.core.errors import Stopped
from bench.engine.training import History
from bench.run.stages.kept_rounds import KeptRounds

_TIMES_REPEATED = 3
_ROUNDING = 1e-3
"""Of the way: a GPU may add in another order, and a state that was lost shows at a hundred times that."""

_FEW_IMAGES = 64
"""To train on: more steps would carry the rounding of a GPU on to everything."""

_ADVICE = "a run that is stopped here ends elsewhere than one that is not: let runs end without a stop, and report this"


def resumed(machine: Machine) -> Iterator[Measured]:
    """Yield how far a resumed training and a resumed em-online are from undisturbed ones."""
    start = _state(machine.network(machine.sizes.thin, 0, machine.device))
    yield _held(machine, "training, resumed and undisturbed", start, lambda *name: _trained(machine, *name))
    clean = [machine.crafting_data(machine.device).x]
    yield _held(machine, "em-online, resumed and undisturbed", clean, lambda *name: _crafted(machine, *name))


def _held(machine: Machine, name: str, start: list[Tensor], run: Callable[[str, bool], list[Tensor]]) -> Measured:
    undisturbed, stopped = run(f"{name} undisturbed", False), run(f"{name} stopped", True)
    far = _farthest(stopped, undisturbed, start)
    unit = "distance as a share of the way"
    if machine.device.type == "cpu":
        same = all(torch.equal(one, other) for one, other in zip(stopped, undisturbed, strict=True))
        return held(name, far, unit, "at most", 0.0, _ADVICE, "the same bits" if same else "other bits")
    repeated = _farthest(run(f"{name} again", False), undisturbed, start)
    limit = max(_TIMES_REPEATED * repeated, _ROUNDING)
    return held(name, far, unit, "at most", limit, _ADVICE, f"run again without a stop: {repeated:.2g}")


def _farthest(found: list[Tensor], wanted: list[Tensor], start: list[Tensor]) -> float:
    return max(distance(*parts) for parts in zip(found, wanted, start, strict=True))


def _trained(machine: Machine, name: str, stop: bool) -> list[Tensor]:
    draft = machine.draft(name)

    def until_resumed(history: History) -> None:
        if stop and len(history) == 1:
            raise Stopped

    def once() -> list[Tensor]:
        how = {"count": _FEW_IMAGES, "on_epoch": until_resumed}
        return _state(machine.train_thin(machine.device, machine.number_format, 0, draft, **how)[0])  # type: ignore[arg-type]

    return _resumed(once) if stop else once()


def _crafted(machine: Machine, name: str, stop: bool) -> list[Tensor]:
    draft, rounds = machine.draft(name), iter(range(100))

    def until_resumed() -> None:
        if next(rounds) == 1 and stop:
            raise Stopped

    def once() -> list[Tensor]:
        how = {"keeper": KeptRounds(draft), "on_round": until_resumed}
        return [crafted(machine, "em-online", ONLINE, machine.device, machine.number_format, **how)]

    return _resumed(once) if stop else once()


def _resumed(once: Callable[[], list[Tensor]]) -> list[Tensor]:
    try:
        once()
    except Stopped:
        return once()
    raise RuntimeError("what was asked to stop went on")


def _state(network: torch.nn.Module) -> list[Tensor]:
    """Return weights, and statistics by themselves: these are larger, and would hide what becomes of those."""
    statistics = [one for one in network.buffers() if one.is_floating_point()]
    return [flattened(list(network.parameters())), flattened(statistics)]
