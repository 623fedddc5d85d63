"""What a person is told before their pictures are protected."""

from collections import Counter
from collections.abc import Iterator

from bench.core.duration import duration
from bench.core.norms import plain
from bench.flows.choices import FIT
from bench.flows.protection import Protection
from bench.plan.outlook import estimator, outlook
from bench.plan.right_now import busy
from bench.plan.stage import SurrogateJob
from bench.spec.names import passes_text


def announcement(protection: Protection, check_passes: float = 0.0) -> str:
    """Return what will be done, at what size, with what effort, and about how long it takes: a line for each.

    `check_passes` is what judging the outcome takes, in passes of training over all pictures.
    """
    lines = [*_pictures(protection), *_crafting(protection), *_effort(protection, check_passes)]
    width = max(len(title) for title, _ in lines)
    return "\n".join([str(protection.originals.path), *(f"  {title:<{width}}  {text}" for title, text in lines)])


def _pictures(protection: Protection) -> Iterator[tuple[str, str]]:
    originals, survey = protection.originals, protection.survey
    counts = Counter(originals.labels.tolist())
    least, most = min(counts.values()), max(counts.values())
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    yield (
        "pictures",
        f"{len(originals):,} of {len(originals.classes)} classes ({each} of each), {_sizes(survey.sizes.tolist())}; "
        f"they are only read",
    )
    for remark in (*originals.remarks, *survey.remarks):
        yield "", remark


def _sizes(sizes: list[list[int]]) -> str:
    found = Counter((width, height) for height, width in sizes)
    if len(found) == 1:
        ((width, height),) = found
        return f"all {width}x{height}"
    sides = [side for size in found for side in size]
    return f"of {len(found):,} sizes, with sides of {min(sides):,} to {max(sides):,} pixels"


def _crafting(protection: Protection) -> Iterator[tuple[str, str]]:
    size = protection.size
    if size.side is None:
        yield "crafts at", f"{size}, their own size"
    else:
        how = "all of each picture" if FIT == "squeeze" else "the middle of each picture"
        yield "crafts at", f"{size}, for {how}; perturbations are brought to each picture's own size"
    stages = protection.plan.stages.values()
    jobs = [stage.job for stage in stages if isinstance(stage.job, SurrogateJob)]
    networks = Counter(job.architecture for job in jobs)
    if networks:
        each = ", ".join(name if count == 1 else f"{count} times {name}" for name, count in networks.items())
        yield "surrogate", f"{each}, trained on all pictures"
        for recipe, defenses in dict.fromkeys((job.recipe, str(job.defenses)) for job in jobs):
            epochs = f"{recipe.epochs} epoch{'s' * (recipe.epochs != 1)}"
            defended = "" if defenses == "plain" else f", {defenses}"
            yield "recipe", f"{recipe.name}: {epochs} in batches of {recipe.batch_size}{defended}"
    if protection.job.architecture is not None:
        yield "surrogate", f"{protection.job.architecture}, trained while it crafts"
    # What is unset, off or left to the device says nothing to a person.
    told = [f"{name} {value}" for name, value in protection.job.method.params if value not in (None, False, "auto")]
    settings = f" ({', '.join(told)})" if told else ""
    yield "method", f"{protection.job.method.name}{settings}"
    yield "budget", _meaning(protection)


def _meaning(protection: Protection) -> str:
    budget = protection.budget
    size = plain(budget.size) if budget.size is not None else ""
    match budget.norm:
        case "linf":
            return f"{budget}, no value moves by more than {size} of 255 levels"
        case "l2":
            return f"{budget}, the change of a picture has at most norm {size} on the scale [0, 1]"
        case "l0":
            changes = "pixel of a picture changes" if budget.size == 1 else "pixels of a picture change"
            return f"{budget}, at most {size} {changes}"
        case _:
            return f"{budget}: nothing bounds how much a picture changes"


def _effort(protection: Protection, check_passes: float) -> Iterator[tuple[str, str]]:
    view = outlook(protection.plan, protection.home, protection.device)
    seconds = sum(stage.seconds for stage in view.stages if not stage.done)
    took = f"roughly {duration(seconds)} on {view.device}" if seconds else "done before"
    most = "at most " if any(stage.at_most for stage in view.stages) else ""
    yield "work", f"{most}{passes_text(sum(stage.passes for stage in view.stages))} passes over the pictures, {took}"
    if check_passes:
        pace = _seconds_of_a_pass(protection)
        took = "" if pace is None else f", roughly {duration(check_passes * pace)} if none of it is done"
        yield "check", f"{check_passes:.0f} passes more to see what it holds{took}"
    if (programs := busy(view.device)) is not None:
        yield "", f"{view.device} is busy now ({programs}): while it is, everything takes longer"
    yield "kept in", f"{protection.home.root}; when it is stopped, the same command goes on from there"


def _seconds_of_a_pass(protection: Protection) -> float | None:
    """Return how long a pass of training takes; None where the method trains nothing, and nothing tells."""
    trained = next((stage for stage in protection.plan.stages.values() if stage.kind == "surrogate"), None)
    if trained is None:
        return None
    estimate = estimator(protection.plan, [trained], protection.device, protection.home)
    return estimate(trained) / trained.passes
