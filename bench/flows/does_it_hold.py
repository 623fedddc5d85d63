"""Does a protection hold: victims of what a person's pictures became, judged on clean ones that were held out."""

from pathlib import Path

from bench.core.errors import SepbenchError
from bench.flows.choices import FIT
from bench.flows.evaluate import DEFENSES, Evaluation, plan_evaluation
from bench.flows.protection import Protection
from bench.plan.estimate import FORWARD_SHARE
from bench.read.verdict import Verdict, verdict
from bench.run.executors.executor import Workplace
from bench.run.invocation import Invocation

HELD_OUT = 0.2
"""The share of each class that victims are judged on; its protected copies are dropped."""

_VICTIMS = 2 * len(DEFENSES) + 1  # clean and protected, each with every defense, and one with some clean pictures


def check_passes(protection: Protection) -> float:
    """Return what the check takes, in passes of training over all pictures."""
    epochs = protection.plan.experiment.recipe.epochs
    return _VICTIMS * epochs * (1 - HELD_OUT + FORWARD_SHARE * HELD_OUT)


def not_checkable(protection: Protection) -> str | None:
    """Return why nothing can be held out of some pictures, as a sentence without a point; None where it can."""
    originals = protection.originals
    labels = originals.labels.tolist()
    alone = [name for label, name in enumerate(originals.classes) if labels.count(label) == 1]
    if not alone:
        return None
    which = f"class '{alone[0]}' has a single picture"
    if len(alone) > 1:
        which = f"class '{alone[0]}' and {len(alone) - 1:,} more have a single picture each"
    return f"whether it holds is not checked: {which}, and none to hold out"


def plan_check(protection: Protection, out: Path, *, lossy: bool = False) -> Evaluation:
    """Return the evaluation of protected pictures that stand in a folder, as the surrogate is trained and sees them.

    `lossy` ones are not held to the budget, which JPEG cannot keep, and stand under the smallest that they do keep.
    """
    experiment = protection.plan.experiment
    return plan_evaluation(
        out,
        protection.originals.spec(resize=protection.size.side, fit=FIT),
        victims=experiment.victims,
        seeds=(protection.job.seed,),
        budget=None if lossy else str(protection.budget),
        recipe=experiment.recipe,
        holdout=HELD_OUT,
        home=protection.home,
        device=protection.device,
    )


def judge(evaluation: Evaluation, place: Workplace) -> Verdict:
    """Train the victims that are not trained yet, and return what can be said of the protection.

    Raises `SepbenchError` where a victim failed, `Stopped` where the workplace asked for it.
    """
    summary = evaluation.run(Invocation(place))
    summary.check_stopped()
    if summary.failures:
        failed = summary.failures[0]
        raise SepbenchError(
            f"a victim of the check failed ({failed.defense}: {failed.reason}): the protected pictures are whole, and "
            f"the same command tries it again"
        )
    return verdict(summary.records)
