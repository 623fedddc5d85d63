"""From records to the rows of the leaderboard: one for each setting, never two settings in one."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from bench.core.keys import canonical
from bench.core.norms import Beside
from bench.read.above_last import OTHERS, far_above_last
from bench.read.chance import near_chance
from bench.read.leaderboard.contexts import COMPARED, context_of, place_of
from bench.read.leaderboard.page_columns import column_axes
from bench.read.leaderboard.same_bytes import Made, each_once, replicate_of
from bench.read.leaderboard.settings import declared_by, with_choices
from bench.read.leaderboard.tracks import Track, track_of
from bench.read.stats import summarise_cell
from bench.read.tables.quality import over_protected_sets
from bench.record.record import DATA_FIELDS, Record
from bench.spec.axes import AXES, is_usual, unusual_marks
from bench.spec.method_row import changed_parameters
from bench.spec.names import REFERENCES, parameters_text

BROUGHT = "brought"
"""The mark of a row whose protected images were made elsewhere, as the page explains it."""


@dataclass(frozen=True)
class Row:
    """One number of the leaderboard with all that is known about it.

    `context` says which rows may be compared with each other; a row without a `track` stands in all of its context.
    `columns` has a text for each axis of `column_axes`. A published row has a `source`, what it is known to
    differ in as `differs`, and the standard deviation its authors gave as `std`. `mean` and `half_width` are percent,
    None where nothing was measured.
    `shared` holds the fields that all runs have in common, `runs` those in which they differ. `audit` holds the mean
    over the protected sets of each field that can stand beside numbers.
    Behind the mean are `sets` protected sets and up to `victims` victim seeds on each; of published numbers `n` is all
    that is known. `place` is the `context` without its defense, `params` are those named in `parameters`, and `chosen`
    says why this setting stands for its method, None where another one does. `records` are those of finished runs.
    `mean` is of the last epochs; `others` has mean and half-width of the accuracies in `bench.read.above_last.OTHERS`.
    """

    context: str
    track: Track | None
    method: str
    parameters: str
    columns: dict[str, str]
    reference: str | None = None
    marks: tuple[str, ...] = ()
    changed: bool = False
    source: str | None = None
    differs: str | None = None
    note: str | None = None
    mean: float | None = None
    half_width: float | None = None
    std: float | None = None
    n: int | None = None
    counts: str = ""
    failed: int = 0
    shared: dict[str, Any] = field(default_factory=dict)
    runs: tuple[dict[str, Any], ...] = ()
    audit: dict[str, float | None] = field(default_factory=dict)
    others: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    sets: int | None = None
    victims: int | None = None
    place: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    chosen: str | None = None
    release: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()


def rows_of(records: Iterable[Record]) -> list[Row]:
    """Return one row for each setting, in an order that the order of the records does not change.

    Settings of a method that made the same bytes are one: what was trained on them is one result.
    """
    settings: defaultdict[str, list[Record]] = defaultdict(list)
    versions: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    records = list(records)
    defaults = newest_defaults(records)
    for record in records:
        versions[record.dataset].add((record.train_sha256, record.test_sha256))
        settings[_identity(record, _changed(record, defaults))].append(record)
    several = {dataset for dataset, found in versions.items() if len(found) > 1}
    declared = declared_by((record, _changed(record, defaults)) for record in records)
    crafted: defaultdict[tuple[str, str], list[Made]] = defaultdict(list)
    doubts: dict[str, str] = {}
    for identity in sorted(settings):
        groups = _crafted_alike(settings[identity])
        for name in sorted(groups):
            first = groups[name][0]
            crafted[_identity(first, {}), name].append(Made(groups[name], _changed(first, defaults)))
        if settings[identity][0].method == "none":
            doubts |= _doubts(groups.values())
    rows = [
        _row(one.records, name, (*record_marks(one.records[0], name, several), *one.marks), one.changed)
        for (_, name), made in crafted.items()
        for one in each_once(made)
    ]
    rows = with_choices(rows, declared)
    return [replace(row, marks=(*row.marks, doubts[row.context])) if row.context in doubts else row for row in rows]


def _doubts(references: Iterable[list[Record]]) -> dict[str, str]:
    """Return what stands beside all that is compared with a clean reference near chance, by context."""
    found = [(records[0], near_chance([one for one in records if one.status == "done"])) for records in references]
    return {context_of(record): f"clean reference at {said}" for record, said in found if said is not None}


def record_marks(record: Record, experiment: str, several: set[str]) -> tuple[str, ...]:
    """Return what sets a record apart from others with the same columns, data sets with `several` versions among it."""
    marks = [BROUGHT] if record.brought else []
    marks += [] if record.profile is None else [f"profile {record.profile}"]
    marks += record.overrides
    marks += unusual_marks(dict(record))
    if record.protected_classes is not None:
        marks.append(f"first {record.protected_classes} classes protected and judged")
    if record.dataset in several:
        marks.append(f"data {record.train_sha256[:8]}/{record.test_sha256[:8]}")
    if experiment:
        marks.append(f"experiment {experiment}")
    return tuple(marks)


def _release_marks(record: Record, experiment: str) -> tuple[str, ...]:
    values = dict(record)
    unusual = [(axis, axis.read(values)) for axis in AXES.values() if axis.of_release and axis.usual is not None]
    marks = [BROUGHT] if record.brought else []
    marks += [axis.mark(value) for axis, value in unusual if not is_usual(axis, value)]
    return (*marks, *([f"experiment {experiment}"] if experiment else []))


def newest_defaults(records: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """Return by name the defaults of methods that did not come with sepbench, as the newest records tell them."""
    newest = sorted(records, key=lambda record: record.started)
    return {record.method: record.method_defaults for record in newest if record.method_defaults is not None}


def _changed(record: Record, defaults: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    own = defaults.get(record.method, {})
    return changed_parameters(record.method, {**own, **record.method_params}, own)


def _identity(record: Record, changed: Mapping[str, Any]) -> str:
    values = dict(record)
    axes = [field for axis in AXES.values() for field in axis.fields if field != "method_params"]
    fields = {name: values[name] for name in (*COMPARED, *axes)} | ({BROUGHT: True} if record.brought else {})
    return canonical([fields, changed])


def _crafted_alike(records: list[Record]) -> dict[str, list[Record]]:
    """Split the records of one setting by experiment where a replicate was crafted in several ways.

    What a record cannot say, such as the surrogate's network, shows in the key of its protected set. An
    experiment that was repeated with newer code supersedes itself.
    """
    crafted: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    for record in records:
        crafted[record.surrogate_seed, record.craft_seed].add(record.protected_key)
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.experiment if any(len(keys) > 1 for keys in crafted.values()) else ""].append(record)
    named = groups if len(groups) > 1 else {"": records}
    return {name: _newest(group) for name, group in named.items()}


def _newest(records: list[Record]) -> list[Record]:
    """Keep one record for each run, and for each replicate the runs on its last protected set."""
    runs: dict[tuple[int, int, int], Record] = {}
    # A failure never takes the place of a result.
    for record in sorted(records, key=lambda one: (one.status == "done", one.started, one.key, one.experiment)):
        runs[record.surrogate_seed, record.craft_seed, record.seed] = record
    last = {seeds[:2]: record.protected_key for seeds, record in runs.items()}
    return [runs[seeds] for seeds in sorted(runs) if runs[seeds].protected_key == last[seeds[:2]]]


def _row(records: list[Record], experiment: str, marks: tuple[str, ...], changed: Mapping[str, Any]) -> Row:
    first = records[0]
    done = [record for record in records if record.status == "done"]
    summary = summarise_cell(done, "test_acc") if done else None
    left_out = {"test_acc_per_class", "classes", "train_per_class", "test_per_class"}  # as long as there are classes
    left_out |= {
        name
        for name in (*DATA_FIELDS, "threads", "processor", "crafted_on", "plugins")
        if all(getattr(record, name) is None for record in records)
    }
    if not any(record.rounded_checkpoints for record in records):
        left_out.add("rounded_checkpoints")
    if len(done) == len(records):
        left_out |= {"status", "reason"}
    fields = [record.model_dump(mode="json", exclude=left_out) for record in records]
    for record, one in zip(records, fields, strict=True):
        if "plugins" in one:
            one["plugins"] = _plugins(record)
    shared = [name for name in fields[0] if all(one[name] == fields[0][name] for one in fields)]
    values = dict(first)
    return Row(
        context=context_of(first),
        track=track_of(first.method, first.norm, first.budget),
        method=first.method,
        parameters=parameters_text(changed),
        columns={axis.name: axis.label(values[axis.name]) for axis in column_axes()},
        reference=REFERENCES.get(first.method),
        marks=(*marks, *(_flattered(done) if first.method not in REFERENCES else ())),
        changed=first.profile is not None or bool(first.overrides) or first.recipe.endswith("]"),
        # Libraries differ in the last bits, and the page must not.
        mean=None if summary is None else round(summary.mean, 6),
        half_width=None if summary is None or summary.half_width is None else round(summary.half_width, 6),
        n=0 if summary is None else summary.n,
        counts=_what_n_counts(done),
        failed=len(records) - len(done),
        shared={name: fields[0][name] for name in shared},
        others=dict(_others(done)),
        audit={name: over_protected_sets(done, name) for name in get_args(Beside)},
        runs=tuple({name: value for name, value in one.items() if name not in shared} for one in fields),
        sets=len({replicate_of(record) for record in done}),
        victims=max(Counter(map(replicate_of, done)).values(), default=0),
        place=place_of(first),
        params=dict(changed),
        release=_release_marks(first, experiment),
        records=tuple(done),
    )


def _others(done: Sequence[Record]) -> Iterator[tuple[str, tuple[float, float | None]]]:
    for name in OTHERS:
        known = [record for record in done if getattr(record, name) is not None]
        if known:
            found = summarise_cell(known, name)
            yield name, (round(found.mean, 6), None if found.half_width is None else round(found.half_width, 6))


def _flattered(done: Sequence[Record]) -> tuple[str, ...]:
    """Return what is said beside the accuracy of the last epoch where another one is far above it."""
    return tuple(f"{OTHERS[name]} {mean:.1f} %" for name, mean in far_above_last(done).items())


def _plugins(record: Record) -> dict[str, str]:
    """Return what a reader is told of plug-ins that did not come with sepbench."""
    told = [
        f"{name} of {one['package']}, sha256 {one['sha256'][:16]}"
        for name, one in sorted((record.plugins or {}).items())
    ]
    return {"plugins": "; ".join(told)} if told else {}


def _what_n_counts(records: Sequence[Record]) -> str:
    replicates = set(map(replicate_of, records))
    return "crafting replicates, victims averaged within each" if len(replicates) > 1 else "victim seeds"
