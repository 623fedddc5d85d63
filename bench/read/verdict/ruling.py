"""From records to the verdict on one protection."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.read.tables import CellId
from bench.read.verdict.evidence import Evidence, gather
from bench.read.verdict.paragraph import facts, gaps, headline, in_short
from bench.read.verdict.rules import Outcome, Ruling, kept, rule
from bench.read.verdict.ways_table import ways_table
from bench.record.record import Record


@dataclass(frozen=True, repr=False)
class Verdict:
    """What can be said of one protection, given the victims that were trained on it.

    Attributes
    ----------
    outcome
        That of the victim that is worst for the owner of the pictures.
    headline
        The sentence that applies.
    paragraph
        The headline and what it rests on.
    table
        What each way to train reaches, as Markdown; empty where nothing was measured.
    question
        What is answered, as in `Does sep within linf-8 hold on digits?`

    """

    outcome: Outcome
    headline: str
    paragraph: str
    table: str
    question: str

    def text(self) -> str:
        """Return question, paragraph and table as Markdown."""
        return "\n\n".join(part for part in (f"**{self.question}**", self.paragraph, self.table) if part) + "\n"

    def __repr__(self) -> str:
        return self.text()

    def _repr_markdown_(self) -> str:
        return self.text()


def verdict(records: Sequence[Record], expected: Iterable[CellId] = ()) -> Verdict:
    """Return what can be said of a protection.

    Parameters
    ----------
    records
        Of one data set, recipe, budget and method besides `none`; of any victims, defenses, seeds and protected
        fractions. Accuracies are in percent.
    expected
        The runs that should be there; those that are not are counted.

    Raises
    ------
    SepbenchError
        The records are of several protections, data sets or recipes.

    """
    evidence = gather(records, expected)
    rulings = sorted((rule(case) for case in evidence.cases), key=_severity)
    worst = next(iter(rulings), None)
    outcome = Outcome.UNKNOWN if worst is None else worst.outcome
    first = headline(worst, evidence)
    sentences = [first, *(facts(worst) if worst else ())]
    if len(rulings) > 1:
        sentences.append(f"Of the other victims: {'; '.join(map(in_short, rulings[1:]))}.")
    sentences += gaps(evidence)
    return Verdict(outcome, first, " ".join(sentences), ways_table(evidence), _question(evidence))


def _severity(ruling: Ruling) -> tuple[int, float]:
    """Sort by outcome, the worst for the owner first, and by how much the best way to train keeps."""
    place = list(Outcome).index(ruling.outcome)
    if ruling.best is None or ruling.best.protected is None:
        return place, 0.0
    return place, -kept(ruling.case, ruling.best.protected.mean)


def _question(evidence: Evidence) -> str:
    protection = evidence.method or "the protection"
    within = f" within {evidence.budget}" if evidence.budget else ""
    on = f" on {evidence.dataset}" if evidence.dataset else ""
    return f"Does {protection}{within} hold{on}?"
