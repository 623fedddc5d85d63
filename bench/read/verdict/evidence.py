"""What records tell of one protection, victim by victim: every way to train that was tried, on both kinds of images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.core.errors import SepbenchError
from bench.data.counts import names_of
from bench.read.chance import chance_of, near_chance
from bench.read.stats import Samples, Summary, samples_of, summarise
from bench.read.tables import CellId
from bench.read.tables.selection import refuse_mixed_provenance
from bench.record.record import Record
from bench.spec.axes import AXES
from bench.spec.names import REFERENCES

CLEAN = "none"
PLAIN = "plain"


@dataclass(frozen=True, eq=False)
class Way:
    """One way to train on a release, with what it reaches: test accuracies in percent.

    Attributes
    ----------
    share
        Of the training images that are protected.
    besides
        How many clean images the victim has besides.
    protected, clean
        On the protected images, and the ceiling: the same training on the clean ones. None where it was not measured.
    samples
        Behind `protected`, with the seeds that they were drawn with.
    peak, relabelled
        What `protected` would be at the best epoch, and under the best renaming of the outputs.

    """

    defense: str
    share: float
    besides: int
    protected: Summary | None
    clean: Summary | None
    samples: Samples
    peak: float | None
    relabelled: float | None

    @property
    def reached(self) -> float:
        """The mean on the protected images; below all that can be where it was not measured."""
        return -1.0 if self.protected is None else self.protected.mean

    @property
    def diluted(self) -> bool:
        """Whether the trainer has clean images, too."""
        return self.share < 1 or self.besides > 0


@dataclass(frozen=True)
class Case:
    """Everything that is known of one victim.

    Attributes
    ----------
    ways
        Those that were asked for, plain training first, in the order of the records.
    ceiling
        Plain training on the clean images.
    ceiling_samples
        Behind `ceiling`.
    chance
        What guessing gets right, in percent; None where records do not tell.
    near_chance
        How the ceiling stands to chance where it is hardly above it.

    """

    victim: str
    ways: tuple[Way, ...]
    ceiling: Summary | None
    ceiling_samples: Samples
    chance: float | None
    near_chance: str | None

    @property
    def plain(self) -> Way | None:
        """Plain training on nothing but protected images, where that was measured."""
        return next((way for way in self.measured if way.defense == PLAIN), None)

    @property
    def measured(self) -> tuple[Way, ...]:
        """The ways on nothing but protected images that have a number."""
        return tuple(way for way in self.ways if way.protected is not None and not way.diluted)

    @property
    def defended(self) -> tuple[Way, ...]:
        """Those of them that are more than plain training, the most successful first."""
        return tuple(
            sorted((way for way in self.measured if way.defense != PLAIN), key=lambda way: way.reached, reverse=True)
        )

    @property
    def dilutions(self) -> tuple[Way, ...]:
        """Plain training on a release with clean images among or besides the protected ones."""
        return tuple(way for way in self.ways if way.diluted and way.defense == PLAIN and way.protected is not None)


@dataclass(frozen=True)
class Evidence:
    """What records tell of one protection.

    Attributes
    ----------
    method, dataset
        None where there are no records of any.
    failed
        Records of cells that failed and were not run again with success.
    missing
        How many of the `runs` that were planned or made have no record.

    """

    method: str | None
    budget: str | None
    dataset: str | None
    cases: tuple[Case, ...]
    failed: tuple[Record, ...]
    missing: int
    runs: int
    test_images: int | None


def gather(records: Iterable[Record], expected: Iterable[CellId] = ()) -> Evidence:
    """Return the evidence on the one protection that records are of.

    Of several records of one run the last finished one counts. `random-noise` beside another method is a control, and
    left out.

    Raises
    ------
    SepbenchError
        The records are of several protections, data sets or recipes.

    """
    chosen, planned = list(records), list(expected)
    methods = [*(record.method for record in chosen), *(run.method for run in planned)]
    names = dict.fromkeys(name for name in methods if name != CLEAN)
    subjects = [name for name in names if name not in REFERENCES] or list(names)
    relevant = {CLEAN, *subjects}
    chosen = [record for record in chosen if record.method in relevant]
    _refuse_several(chosen, subjects)
    latest: dict[CellId, Record | None] = dict.fromkeys(run for run in planned if run.method in relevant)
    for record in sorted(chosen, key=lambda one: (one.status == "done", one.started, one.key)):
        latest[CellId.of(record)] = record
    counted = [record for record in latest.values() if record is not None]
    done = [record for record in counted if record.status == "done" and _is_accuracy(record.test_acc)]
    protected = [record for record in chosen if record.method != CLEAN]
    victims = dict.fromkeys(record.victim for record in [*protected, *chosen])
    return Evidence(
        method=subjects[0] if subjects else None,
        budget=next((_budget(record) for record in protected), None),
        dataset=next((record.dataset for record in chosen), None),
        cases=tuple(_case(victim, counted, done) for victim in victims),
        failed=tuple(record for record in counted if record not in done),
        missing=sum(record is None for record in latest.values()),
        runs=len(latest),
        test_images=next((record.n_test for record in done if record.n_test is not None), None),
    )


def _refuse_several(records: Sequence[Record], subjects: Sequence[str]) -> None:
    protected = [record for record in records if record.method in subjects]
    for name, of in (("method", protected), ("budget", protected), ("dataset", records), ("recipe", records)):
        axis = AXES[name]
        values = list(dict.fromkeys(axis.read(dict(record)) for record in of))
        if len(values) > 1:
            labels = names_of([axis.label(value, values) for value in values])
            raise SepbenchError(
                f"a verdict is on one protection, and these records are of several {axis.plural} ({labels}): "
                f"give it the records of one"
            )
    refuse_mixed_provenance([record for record in records if record.status == "done"])


def _case(victim: str, counted: Sequence[Record], done: Sequence[Record]) -> Case:
    own = [record for record in counted if record.victim == victim]
    asked = dict.fromkeys(_way(record) for record in own if record.method != CLEAN)
    clean = [record for record in done if record.victim == victim and record.method == CLEAN]
    protected = [record for record in done if record.victim == victim and record.method != CLEAN]
    ceiling = [record for record in clean if _way(record) == (PLAIN, 1.0, 0)]
    ordered = sorted(asked, key=lambda way: (way[0] != PLAIN, way[1] < 1 or way[2] > 0))
    return Case(
        victim=victim,
        ways=tuple(_reached_by(way, protected, clean) for way in ordered),
        ceiling=_summary(ceiling),
        ceiling_samples=samples_of(ceiling, "test_acc"),
        chance=chance_of(own),
        near_chance=near_chance(ceiling),
    )


def _way(record: Record) -> tuple[str, float, int]:
    return record.defense, record.protected_fraction, record.clean_images


def _reached_by(way: tuple[str, float, int], protected: Sequence[Record], clean: Sequence[Record]) -> Way:
    own = [record for record in protected if _way(record) == way]
    defense, _, besides = way
    # Nobody dilutes clean images: a ceiling is of the same training with as many images besides.
    ceiling = [record for record in clean if _way(record) == (defense, 1.0, besides)]
    return Way(
        *way,
        protected=_summary(own),
        clean=_summary(ceiling),
        samples=samples_of(own, "test_acc"),
        peak=_mean(own, "peak_acc"),
        relabelled=_mean(own, "relabelled_acc"),
    )


def _summary(records: Sequence[Record]) -> Summary | None:
    return summarise(list(samples_of(records, "test_acc").values())) if records else None


def _mean(records: Sequence[Record], field: str) -> float | None:
    """Return the mean of an accuracy, None where not all of the records have it."""
    values = [value for record in records if _is_accuracy(value := getattr(record, field))]
    return fmean(values) if values and len(values) == len(records) else None


def _is_accuracy(value: float | None) -> bool:
    return value is not None and 0 <= value <= 100


def _budget(record: Record) -> str | None:
    value = AXES["budget"].read(dict(record))
    return None if value is None else AXES["budget"].label(value)
