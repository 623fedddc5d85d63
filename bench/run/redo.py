"""Running finished stages again, as `--force` asks for it."""

from collections.abc import Sequence

from bench.core.registry import UnknownName
from bench.plan.plan import Plan
from bench.plan.stage import KINDS
from bench.store.artifacts import Store


def check_stage_kinds(kinds: Sequence[str]) -> None:
    """Raise `UnknownName` for what is no kind of stage."""
    for kind in kinds:
        if kind not in KINDS:
            raise UnknownName("stage of --force", kind, KINDS)


def redo(plan: Plan, kinds: Sequence[str], store: Store) -> None:
    """Set the finished artifacts of whole kinds of stages aside, with everything made from them, to run them again."""
    outdated: set[str] = set()
    for stage in plan.stages.values():  # inputs come before what is made from them
        if stage.kind in kinds or outdated.intersection(stage.inputs):
            outdated.add(stage.key)
            store.set_aside(stage.kind, stage.key, "run again by --force")
