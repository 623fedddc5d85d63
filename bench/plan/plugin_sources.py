"""Plug-ins that did not come with sepbench, as what was made with them remembers them."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from bench.contracts.dataset import DATASETS
from bench.contracts.defense import DEFENSES
from bench.contracts.method import METHODS
from bench.contracts.network import ARCHITECTURES
from bench.contracts.plugin import default_values
from bench.core.origin import Origin
from bench.plan.plan import Plan, PlannedCell
from bench.plan.stage import CraftJob, Job, Kind, SurrogateJob
from bench.store.artifacts import CorruptArtifact, Store

Sources = dict[str, dict[str, str]]
"""By kind and name, as in `method far`: the `package` that it is of, with its version, and its source's `sha256`."""


def sources_of(job: Job) -> Sources:
    """Return what of others a stage itself makes use of."""
    match job:
        case SurrogateJob():
            found = {f"surrogate {job.architecture}": ARCHITECTURES.origin(job.architecture)}
            # Not `defense`, which in records is that of the victim.
            found |= {f"training defense {part.name}": DEFENSES.origin(part.name) for part in job.defenses.chain}
        case CraftJob():
            found = {f"method {job.method.name}": METHODS.origin(job.method.name)}
        case _:
            found = {f"architecture {job.architecture}": ARCHITECTURES.origin(job.architecture)}
            found |= {f"defense {part.name}": DEFENSES.origin(part.name) for part in job.defenses.chain}
    return _written(found)


def sources_of_data(format: str) -> Sources:
    """Return what of others reads a data set; nothing where a format of ours does."""
    return _written({f"data set {format}": DATASETS.origin(format)})


def sources_of_cell(plan: Plan, planned: PlannedCell) -> Sources:
    """Return what of others a cell would be made with now."""
    stages = (plan.stages[key] for key in (*planned.surrogates, planned.craft, planned.victim))
    found = sources_of_data(plan.experiment.dataset.format)
    return found | {name: source for stage in stages for name, source in sources_of(stage.job).items()}


def as_recorded(sources: Sources, planned: PlannedCell) -> dict[str, dict[str, Any]] | None:
    """Return what the record of a cell says of plug-ins that others may not have: enough to read it without them."""
    method = planned.cell.method
    told: dict[str, dict[str, Any]] = {
        f"method {method.name}": {
            "defaults": method.defaults_json(),
            "norms": list(METHODS.get(method.name).norms),
            "surrogates": bool(planned.surrogates),
        }
    }
    for part in planned.cell.defense.chain:
        defaults = default_values(type(part.params))
        told[f"defense {part.name}"] = {"defaults": defaults, "short": part.short, "files": sorted(part.places)}
    return {name: {**source, **told.get(name, {})} for name, source in sources.items()} or None


def changed_since(plan: Plan, store: Store, anew: str | None = "--force {kind}") -> list[str]:
    """Return a sentence on each plug-in whose source was another when results were made that the plan uses.

    Or may have been, as it cannot be read. Its version is still the same: else these were other results. `anew` is how
    a person has stages of a `{kind}` run again; None where the request knows no such option.
    """
    made_before: defaultdict[tuple[str, str, bool], list[Kind]] = defaultdict(list)
    for stage in plan.stages.values():
        now = sources_of(stage.job)
        if not now or not store.has(stage.kind, stage.key):
            continue
        then = _kept(store, stage.kind, stage.key)
        for name, source in now.items():
            digests = {source["sha256"], then[name]["sha256"]} if name in then else set()
            if len(digests) == 2 or "" in digests:
                made_before[name, source["package"], "" not in digests].append(stage.kind)
    return [
        f"the source of the {name} ({package}) {_changed(kinds) if known else _unknown(kinds)}: what is there is used "
        f"as it is; raise the version{_advice(anew, kinds[0])}"
        for (name, package, known), kinds in made_before.items()
    ]


def _changed(kinds: list[Kind]) -> str:
    return f"has changed since {_count(kinds)} made, and its version has not"


def _unknown(kinds: list[Kind]) -> str:
    return f"cannot be read, so that nothing tells whether it has changed since {_count(kinds)} made"


def _advice(anew: str | None, kind: Kind) -> str:
    return "" if anew is None else f", or make it anew with {anew.format(kind=kind)}"


def _count(kinds: list[Kind]) -> str:
    nouns = {"surrogate": "surrogate", "craft": "protected set", "victim": "victim"}
    several = len(kinds) > 1
    return f"{len(kinds)} {nouns[kinds[0]]}{'s' * several} {'were' if several else 'was'}"


def _kept(store: Store, kind: Kind, key: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = store.meta(kind, key).get("sources", {})
    except CorruptArtifact:  # who uses it says so
        return {}
    return found


def _written(found: Mapping[str, Origin | None]) -> Sources:
    return {name: dict(origin._asdict()) for name, origin in found.items() if origin is not None}
