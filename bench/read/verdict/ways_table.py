"""The small table of a verdict: what each way to train reaches on protected and on clean images."""

from bench.read.stats import CONFIDENCE
from bench.read.tables.markdown import aligned
from bench.read.verdict.evidence import Case, Evidence, Way
from bench.read.verdict.rules import restored
from bench.read.verdict.wording import accuracy, capital, dilution, named, share
from bench.spec.names import NOTHING


def ways_table(evidence: Evidence) -> str:
    """Return it as Markdown, with a line on what its numbers are; empty where nothing was measured."""
    rows = [(case.victim, *row) for case in evidence.cases for row in _rows(case)]
    if not rows:
        return ""
    heads = ("victim", "training", "on protected images", "on clean images", "given back")
    columns = [[head, *texts] for head, texts in zip(heads, zip(*rows, strict=True), strict=True)]
    several = len(evidence.cases) > 1
    return "\n".join([*aligned(columns[0 if several else 1 :], 2 if several else 1), "", _about(evidence)])


def _rows(case: Case) -> list[tuple[str, str, str, str]]:
    defended = [*case.defended, *(way for way in case.ways if way.protected is None and not way.diluted)]
    plain = [] if case.plain is None else [case.plain]
    diluted = [way for way in case.ways if way.diluted]
    rows = [_row(case, way) for way in [*plain, *defended, *diluted]]
    if not rows and case.ceiling is not None:
        rows = [("Plain training", NOTHING, accuracy(case.ceiling), "")]
    if rows and case.chance is not None:
        rows.append(("Guessing", f"{case.chance:.1f}", f"{case.chance:.1f}", ""))
    return rows


def _row(case: Case, way: Way) -> tuple[str, str, str, str]:
    name = capital(named(way.defense))
    if way.diluted:
        name = f"{name}, {dilution(way)}"
    return name, accuracy(way.protected), accuracy(way.clean), _given_back(case, way)


def _given_back(case: Case, way: Way) -> str:
    if way is case.plain or way.protected is None:
        return ""
    given = restored(case, way.protected.mean)
    return NOTHING if given is None else share(given)


def _about(evidence: Evidence) -> str:
    cells = [cell for case in evidence.cases for way in case.ways for cell in (way.protected, way.clean)]
    numbers = sorted({cell.n for cell in (*cells, *(case.ceiling for case in evidence.cases)) if cell is not None})
    images = f"{evidence.test_images:,} clean test images" if evidence.test_images else "clean test images"
    if not numbers or numbers == [1]:
        runs = "each number is one run"
    else:
        counted = f"n = {numbers[0]}" if len(numbers) == 1 else f"n = {numbers[0]} to {numbers[-1]}"
        runs = f"mean of {counted} seeds ± {100 * CONFIDENCE:g} % half-width (Student t) where n > 1"
        runs = runs if numbers[0] == 1 else runs.removesuffix(" where n > 1")
    return (
        f"Accuracy in % on {images}; {runs}. Given back: the share of what plain training loses to the protection. "
        f"What a defense reaches on clean images is its own ceiling."
    )
