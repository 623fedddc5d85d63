"""The sentences of a verdict, for the owner of the pictures."""

from collections.abc import Callable, Iterator
from textwrap import shorten

from bench.data.counts import names_of
from bench.read.stats import CONFIDENCE, paired_p_value
from bench.read.verdict.evidence import CLEAN, PLAIN, Case, Evidence, Way
from bench.read.verdict.rules import MOST, SOME, Outcome, Ruling, kept, restored, undone_by_dilution
from bench.read.verdict.wording import capital, dilution, named, percent, share, what_it_is

_FAR = 10.0
"""Points by which another way to judge the same run has to be above its last epoch to be worth a sentence."""
_NEARLY_ALL = 0.8
_SHOWN = 3


def headline(ruling: Ruling | None, evidence: Evidence) -> str:
    """Return the one sentence that applies; `ruling` is None where there is no victim at all."""
    if ruling is None or ruling.best is None:
        return _nothing_can_be_said(None if ruling is None else ruling.case, evidence)
    said = capital(_clause(ruling))
    if len(evidence.cases) == 1:
        return said
    return f"With {ruling.case.victim}, {said[:1].lower() if said.startswith('It ') else said[:1]}{said[1:]}"


def _clause(ruling: Ruling) -> str:
    case, best = ruling.case, ruling.best
    assert best is not None
    assert best.protected is not None
    given = restored(case, best.protected.mean)
    match ruling.outcome:
        case Outcome.FAILS:
            return f"it does not hold, not even against plain training{_no_difference(case)}."
        case Outcome.UNDONE:
            gives = "" if given is None else f"gives back {share(given)} of the lost accuracy"
            if given is None or given < MOST:
                gives = f"lets a network keep {_keeps(case, best)} of what clean images teach"
            return f"{what_it_is(best.defense)} {gives}: assume that a determined trainer succeeds."
        case Outcome.PARTLY:
            return _holds_partly(case, best)
    return _holds(case)


def _holds_partly(case: Case, best: Way) -> str:
    """Lay it to plain training where that is reason enough, and not to a defense that adds little."""
    assert case.plain is not None
    assert case.plain.protected is not None
    assert best.protected is not None
    diluted = undone_by_dilution(case)
    further = "" if diluted is None else f" {_with_dilution(case, diluted)},"
    if kept(case, case.plain.protected.mean) >= SOME:
        more = "" if best is case.plain else f", and with {what_it_is(best.defense)} it is {_keeps(case, best)}"
        return (
            f"it holds partly: plain training alone keeps {_keeps(case, case.plain)} of what clean images teach"
            f"{more}{further and f', and{further[:-1]}'}."
        )
    given = restored(case, best.protected.mean)
    gives = f"lets a network keep {_keeps(case, best)} of what clean images teach"
    if given is not None and given >= SOME:
        gives = f"gives back {share(given)} of the lost accuracy"
    return f"it holds partly: {what_it_is(best.defense)} {gives},{further} and a determined trainer may find more."


def _holds(case: Case) -> str:
    tried, diluted = len(case.defended), undone_by_dilution(case)
    defenses = f"{tried} defense{'s' * (tried != 1)}"
    if diluted is not None:
        rest = f"plain training and {defenses}" if tried else "plain training"
        return (
            f"it holds against {rest} on nothing but protected images, but {_with_dilution(case, diluted)}: "
            f"{'others' if tried else 'no defense was tried, and one as simple as JPEG compression'} may do more."
        )
    if tried:
        return (
            f"it holds against all that was tried, plain training and {defenses}: that is no proof, others may do "
            f"better."
        )
    else_ = "no defense" if case.dilutions else "nothing else"
    return (
        f"it holds against plain training, and {else_} was tried: a defense as simple as JPEG compression may undo it."
    )


def _with_dilution(case: Case, way: Way) -> str:
    """Return what it gives a trainer: as a share of what was lost, or, where that is less than most, of all."""
    assert way.protected is not None
    given = restored(case, way.protected.mean)
    gets = f"gets {share(given)} of the lost accuracy back" if given is not None and given >= MOST else ""
    return f"with {dilution(way)} plain training {gets or f'keeps {_keeps(case, way)} of what clean images teach'}"


def _keeps(case: Case, way: Way) -> str:
    assert way.protected is not None
    return share(kept(case, way.protected.mean))


def facts(ruling: Ruling) -> Iterator[str]:
    """Yield what was measured of one victim, sentence by sentence."""
    case = ruling.case
    if case.ceiling is not None and case.plain is not None and case.plain.protected is not None:
        guessing = "" if case.chance is None else f"; guessing gives {case.chance:.3g} %"
        yield (
            f"Trained plainly on the clean images {case.victim} reaches {percent(case.ceiling)} test accuracy, "
            f"on the protected ones {percent(case.plain.protected)}{guessing}."
        )
    yield from _of_the_strongest(ruling)
    for way in case.dilutions:
        yield _of_dilution(case, way)
    yield from _flattering(ruling)
    yield from _of_the_interval(ruling)


def gaps(evidence: Evidence) -> Iterator[str]:
    """Yield what is not there: runs that failed, and runs that were never made."""
    failed = evidence.failed
    if failed:
        shown = "; ".join(
            f"{'clean' if one.method == CLEAN else 'protected'} images, {one.victim}, {one.defense}, seed {one.seed}: "
            f"{shorten(one.reason or 'no accuracy', 120)}"
            for one in failed[:_SHOWN]
        )
        more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        yield f"{len(failed)} of {evidence.runs} runs failed and are left out ({shown}{more})."
    if evidence.missing:
        yield f"{evidence.missing} of {evidence.runs} runs are missing."


def in_short(ruling: Ruling) -> str:
    """Return the outcome of a victim beside another one."""
    best = ruling.best
    if best is None or best.protected is None:
        return f"with {ruling.case.victim} {Outcome.UNKNOWN}"
    through = "" if best.defense == PLAIN else f" by {what_it_is(best.defense)}"
    comes_to = "is undone" if ruling.outcome is Outcome.UNDONE else _in_words(ruling.outcome, ruling.case)
    said = f"with {ruling.case.victim} it {comes_to} (at most {percent(best.protected)}{through})"
    diluted = undone_by_dilution(ruling.case) if ruling.outcome in _NOT_UNDONE else None
    return said if diluted is None else f"{said}, but {_with_dilution(ruling.case, diluted)}"


_NOT_UNDONE = (Outcome.PARTLY, Outcome.HOLDS)


def _in_words(outcome: Outcome, case: Case) -> str:
    """Return an outcome that is not the headline, which cannot hold against all where clean images undo it."""
    undone = outcome is Outcome.HOLDS and undone_by_dilution(case) is not None
    return "holds on nothing but protected images" if undone else str(outcome)


def _nothing_can_be_said(case: Case | None, evidence: Evidence) -> str:
    if evidence.method is None or case is None:
        return "Nothing can be said: there is no finished victim of protected images."
    if case.ceiling is None:
        return (
            f"Nothing can be said: plain training on the clean images {_absent(case, evidence, clean=True)}, and "
            f"without that ceiling no accuracy tells what the protection took."
        )
    if case.near_chance is not None or case.ceiling.mean <= (case.chance or 0.0):
        reached = case.near_chance or percent(case.ceiling)
        return (
            f"Nothing can be said: even on the clean images {case.victim} reaches {reached}. "
            f"Train longer, on more images, or another network."
        )
    return f"Nothing can be said: plain training on the protected images {_absent(case, evidence, clean=False)}."


def _absent(case: Case, evidence: Evidence, *, clean: bool) -> str:
    """Return what became of plain training on one of the two kinds of images."""
    failed = [one for one in evidence.failed if (one.method == CLEAN) is clean and one.victim == case.victim]
    return "failed" if any(one.defense == PLAIN for one in failed) else "was not measured"


def _no_difference(case: Case) -> str:
    """Say so where seeds cannot tell the protected images from clean ones."""
    assert case.plain is not None
    p = paired_p_value(case.plain.samples, case.ceiling_samples)
    if p is None or p <= 1 - CONFIDENCE:
        return ""
    return f": {len(case.plain.samples)} seeds cannot tell it from no protection at all"


def _of_the_strongest(ruling: Ruling) -> Iterator[str]:
    case = ruling.case
    strongest = next(iter(case.defended), None)
    if strongest is None or strongest.protected is None:
        return
    tried = f"The strongest of {len(case.defended)} tried defenses" if len(case.defended) > 1 else "The tried defense"
    given = restored(case, strongest.protected.mean)
    back = "" if given is None else f" ({share(given)} of what was lost)"
    ceiling = "" if strongest.clean is None else f" and {percent(strongest.clean)} on the clean ones"
    yield (
        f"{tried}, {named(strongest.defense)}, reaches {percent(strongest.protected)} on the protected images{back}"
        f"{ceiling}{_its_own_price(case, strongest, given)}."
    )


def _its_own_price(case: Case, way: Way, given: float | None) -> str:
    """Say so where a defense undoes nearly all of a protection, and what is still missing is what it costs itself."""
    if way.clean is None or way.protected is None or case.plain is None or case.plain.protected is None:
        return ""
    possible = way.clean.mean - case.plain.protected.mean
    gained = way.protected.mean - case.plain.protected.mean
    if given is None or given >= _NEARLY_ALL or possible <= 0 or gained / possible < _NEARLY_ALL:
        return ""
    return ": most of what it does not give back is what it costs itself, not what the protection does"


def _of_dilution(case: Case, way: Way) -> str:
    assert way.protected is not None
    given = restored(case, way.protected.mean)
    back = "" if given is None else f" ({share(given)} of what was lost)"
    return (
        f"With {dilution(way)} plain training reaches {percent(way.protected)}{back}; "
        f"what those clean images give by themselves was not measured."
    )


def _flattering(ruling: Ruling) -> Iterator[str]:
    """Yield what other ways to judge the same networks say, where that is far worse for the protection."""
    peak = _far_above(ruling, lambda way: way.peak)
    if peak is not None:
        highest, way = peak
        yield (
            f"Judging the last epoch flatters the protection: in its best epoch {what_it_is(way.defense)} "
            f"was at {highest:.1f} %, which is for whoever knows when to stop."
        )
    renamed = _far_above(ruling, lambda way: way.relabelled)
    if renamed is not None:
        right, way = renamed
        yield (
            f"Classes were learned under wrong names: after {what_it_is(way.defense)} the best renaming of the outputs "
            f"gets {right:.1f} % right."
        )


def _far_above(ruling: Ruling, read: Callable[[Way], float | None]) -> tuple[float, Way] | None:
    """Return the highest of another accuracy that is far above that of its own way to train.

    That of plain training counts, which a release is judged by first, and what is above all that was reached.
    """
    case = ruling.case
    reached = max((way.protected.mean for way in case.measured if way.protected), default=0.0)
    found = [
        (value, way)
        for way in case.measured
        if way.protected and (value := read(way)) is not None and value - way.protected.mean > _FAR
        if way is case.plain or value > reached
    ]
    return max(found, key=lambda one: one[0], default=None)


def _of_the_interval(ruling: Ruling) -> Iterator[str]:
    ways = _deciding(ruling)
    several = [(way, way.protected) for way in ways if way.protected is not None and way.protected.n > 1]
    if ways and not several:
        yield "That is one run of each: another seed may give other numbers."
    if not several:
        return
    numbers = sorted({summary.n for _, summary in several})
    seeds = f"{' to '.join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))} seeds"
    interval = f"{100 * CONFIDENCE:g} % interval{'s' * (len(several) > 1)}"
    if ruling.otherwise:
        others = " or ".join(f"it {_in_words(one, ruling.case)}" for one in ruling.otherwise)
        of = percent(several[0][1])
        if len(ways) > 1:
            of = names_of([f"{what_it_is(way.defense)} ({percent(summary)})" for way, summary in several])
        allow = "allow" if len(several) > 1 else "allows"
        yield f"With {seeds} the {interval} of {of} also {allow} that {others}: more seeds would tell."
    else:
        yield f"Anywhere in the {interval} over {seeds} the verdict is the same."
    for way in ways:
        if way.protected is not None and way.protected.n == 1:
            yield f"Of {what_it_is(way.defense)} there is one run: another seed may give another number."


def _deciding(ruling: Ruling) -> tuple[Way, ...]:
    """Return plain training, the strongest defense and the one whose interval reaches highest: on these it hangs."""
    case = ruling.case
    if ruling.best is None or case.plain is None:
        return ()
    highest = max(case.defended, key=_upper, default=case.plain)
    return tuple(dict.fromkeys((case.plain, *case.defended[:1], highest)))


def _upper(way: Way) -> float:
    return -1.0 if way.protected is None else way.protected.mean + (way.protected.half_width or 0.0)
