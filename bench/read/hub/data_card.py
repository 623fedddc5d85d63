"""The data card of protected sets: what they are, what they protect from, how they were made, what is known of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from bench import __version__
from bench.contracts.defense import Defenses
from bench.contracts.method import METHODS
from bench.contracts.reference import bibtex, references
from bench.core.errors import SepbenchError
from bench.core.norms import NORMS
from bench.plan.plan import Plan, PlannedCell
from bench.plan.stage import CraftJob
from bench.read.hub.given_back import Judged, judged
from bench.read.verdict.wording import accuracy
from bench.record.record import Record
from bench.spec.names import NOTHING, REFERENCES, parameters_text

_TAGS = ("data-protection", "availability-poisoning", "unlearnable-examples", "sepbench")

_THREAT_MODEL = """\
Somebody trains a classifier on these images and their true labels, with or without knowing that they are protected, and
has no clean images of the same kind. The perturbation is to leave that classifier useless on clean images, while people
see the images as before.

It does **not** protect

* from whoever has the clean images, or enough others of the same kind;
* from the defenses of the [tables below](#what-defenses-give-back), as far as these say, nor from any that nobody has
  measured on these sets: whoever knows of the protection may look for one that undoes it, after the release, too;
* from a network that is trained already and only shown these images, nor from people;
* single images that are taken out of the set, or images that are added to it unprotected."""

_LIMITS = """\
For research on data protection: to train on a set and judge on clean test images, and to measure what defenses and
other networks do about it. Compare sets of one budget with each other, under one way of training, over several seeds.

The images are poor training data on purpose: train nothing on them that is to be used. Resizing, JPEG or any other
change of the bytes is a defense in itself; the files are lossless for this reason. Labels are those of the data set,
its mistakes and biases included. What was measured holds for these networks and these ways of training, on this
data."""


@dataclass(frozen=True)
class ReadySet:
    """A protected set that is handed on.

    Attributes
    ----------
    config
        What its folder and its configuration on the Hub are called.
    what
        What its experiment calls it.
    meta
        What crafting left beside it: digest, audit, passes, provenance.

    """

    config: str
    what: str
    planned: PlannedCell
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of the protected set."""
        return self.planned.craft

    @property
    def is_control(self) -> bool:
        """Whether it is what protections are measured against."""
        return self.planned.cell.method.name in REFERENCES

    def with_meta(self, meta: Mapping[str, Any]) -> "ReadySet":
        """Return the set with what crafting left."""
        return replace(self, meta=meta)


def data_card(plan: Plan, sets: Sequence[ReadySet], records: Sequence[Record], *, test: bool) -> str:
    """Return the `README.md` of these sets: YAML that names the configurations, and a text for people.

    `records` tell what defenses give back; `test` says whether the clean test images are there as well.
    """
    known = {one.config: judged(records, one.key) for one in sets}
    sections = (
        ("Threat model", _THREAT_MODEL + _of_some_classes(plan)),
        ("How they were made", "\n\n".join([_in_common(plan), *(_made(plan, one) for one in sets)])),
        ("What defenses give back", "\n\n".join(_given_back(plan, one, known[one.config]) for one in sets)),
        ("Intended use and limits", _LIMITS),
        ("Licence", _licence(plan)),
        ("How to cite", _citations(sets, known)),
    )
    text = "\n\n".join([f"# {_title(plan)}", _opening(plan, sets, test), *(f"## {a}\n\n{b}" for a, b in sections)])
    return f"---\n{_front_matter(plan, sets, test)}---\n\n{text}\n"


def _title(plan: Plan) -> str:
    return f"Protected sets of {plan.experiment.dataset.name}"


def _front_matter(plan: Plan, sets: Sequence[ReadySet], test: bool) -> str:
    configs: list[dict[str, Any]] = []
    for one in sets:
        files = [{"split": "train", "path": f"{one.config}/train-*.parquet"}]
        files += [{"split": "test", "path": "test/test-*.parquet"}] if test else []
        configs.append({"config_name": one.config, "data_files": files})
    configs[0]["default"] = True
    return yaml.safe_dump(
        {
            "pretty_name": _title(plan),
            "license": "unknown",
            "task_categories": ["image-classification"],
            "tags": list(_TAGS),
            "configs": configs,
        },
        sort_keys=False,
        allow_unicode=True,
    )


def _opening(plan: Plan, sets: Sequence[ReadySet], test: bool) -> str:
    card, experiment = plan.card, plan.experiment
    rows = [
        f"| `{one.config}` | {one.what}{_control(one)} | {_spent(one)} | {_decibel(one)} | {_similarity(one)} | "
        f"`{one.meta['sha256'][:16]}…` |"
        for one in sets
    ]
    tests = (
        "The split `test` holds the clean test images, to judge on."
        if test
        else "Clean test images, to judge on, are not part of it: they are those of the data set."
    )
    return "\n".join(
        [
            f"{card.n_train:,} training images of {experiment.dataset.name}, {card.width}x{card.height} pixels in "
            f"{len(card.classes)} classes, with small perturbations that are to keep networks from learning from them.",
            f"Written by sepbench {__version__} from its experiment `{experiment.published_name}`. {tests}",
            "",
            "| configuration | method and budget | largest change | PSNR | SSIM | digest |",
            "| --- | --- | ---: | ---: | ---: | --- |",
            *rows,
            "",
            "What changed was measured on the bytes of these files. The `path` of an image is its position in the "
            "training set.",
            "",
            "```python",
            "from datasets import load_dataset",
            "",
            f'train = load_dataset("PATH", "{sets[0].config}", split="train")',
            "```",
        ]
    )


def _control(one: ReadySet) -> str:
    return ", a control that is not meant to protect" if one.is_control else ""


def _spent(one: ReadySet) -> str:
    """Return the largest change of any image, in what its budget bounds."""
    audit, budget = one.meta["audit"], one.planned.cell.budget
    bound = NORMS[budget.norm].bound if budget else None
    if bound is None:
        return NOTHING
    return (
        f"{audit[bound.field]:.4g} of {budget.size:g} {bound.unit}" if budget and budget.size is not None else NOTHING
    )


def _decibel(one: ReadySet) -> str:
    found = one.meta["audit"]["psnr"]
    return NOTHING if found is None else f"{found:.1f} dB"


def _similarity(one: ReadySet) -> str:
    found = one.meta["audit"]["ssim"]
    return NOTHING if found is None else f"{found:.3f}"


def _of_some_classes(plan: Plan) -> str:
    card = plan.card
    if card.protected_classes is None:
        return ""
    return (
        f"\n\nOnly the first {card.protected_classes} of {len(card.classes)} classes are protected: "
        f"{', '.join(card.classes[: card.protected_classes])}."
    )


def _in_common(plan: Plan) -> str:
    recipe, clean = plan.experiment.recipe, plan.card.train_sha256
    return (
        f"Surrogates, the networks that perturbations are found with, and victims, the networks of the tables below, "
        f"were trained by the recipe `{recipe.name}`, {recipe.epochs} epochs; its source: {recipe.source}.\n"
        f"Digest of the clean training set: `{clean}`."
    )


def _made(plan: Plan, one: ReadySet) -> str:
    cell, job = one.planned.cell, plan.stages[one.key].job
    assert isinstance(job, CraftJob)
    audit, origin = one.meta["audit"], one.meta["provenance"]
    about = METHODS.get(cell.method.name)
    summary = (about.__doc__ or "").partition("\n")[0]
    set_to = parameters_text(cell.method.params_json()) or "none"
    surrogates = [
        f"{plan.stages[part.surrogate].name}, {_checkpoints(part.need.checkpoints, part.need.at)}, key "
        f"`{part.surrogate[:16]}…`"
        for part in job.checkpoints
    ]
    commit = f", commit `{origin['git_sha'][:12]}`" if origin.get("git_sha") else ""
    lines = [
        f"* method: `{cell.method.name}`, version {about.version}: {summary}",
        *([f"* paper: {references()[about.cite]}"] if about.cite in references() else []),
        f"* parameters: {set_to}",
        f"* budget: `{cell.budget}`; spent: {audit['linf_levels']} levels of 1/255, l2 {audit['l2']:.4g}, "
        f"{audit['l0']} changed pixels, each the largest of any image",
        f"* surrogates: {'; '.join(surrogates) or 'none'}",
        f"* seeds: surrogate {cell.surrogate_seed}, craft {cell.craft_seed}",
        *(f"* {_of_others(name, source)}" for name, source in one.meta.get("sources", {}).items()),
        *([f"* **in doubt**: {one.meta['doubt']}"] if one.meta.get("doubt") else []),
        f"* digest of the protected set: `{one.meta['sha256']}`",
        f"* made by sepbench {origin['version']}{commit}, torch {origin['torch']}, on {origin['device']}; key "
        f"`{one.key}`",
    ]
    return "\n".join([f"### {one.config}", "", *lines])


def _of_others(name: str, source: Mapping[str, str]) -> str:
    """Return where a plug-in came from that did not come with sepbench."""
    known = f"digest of its source `{source['sha256']}`" if source["sha256"] else "whose source is not known"
    return f"the {name} did not come with sepbench: it is of `{source['package']}`, {known}"


def _checkpoints(count: int, at: tuple[int, ...] | None) -> str:
    count = len(at) if at else count
    return f"{count} checkpoint{'s' * (count != 1)}"


def _given_back(plan: Plan, one: ReadySet, found: Sequence[Judged]) -> str:
    head = f"### {one.config}\n\n"
    if not found:
        return (
            f"{head}Nothing was measured on this set: neither that it protects, nor what a defense gives back. Measure "
            f"it before you rely on it."
        )
    rows = [
        f"| {row.victim} | {row.defense} | {accuracy(row.clean)} | {accuracy(row.protected)} | {row.protected.n} | "
        f"{NOTHING if row.given_back is None or one.is_control else f'{100 * row.given_back:.0f} %'} |"
        for row in found
    ]
    lines = [
        "| victim | training | on clean images (%) | on this set (%) | n | given back |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        f"Accuracy on clean test images after the last epoch, mean and 95 % interval over n seeds; chance is "
        f"{100 / len(plan.card.classes):.3g} %. Given back is the share of what plain training loses.",
    ]
    if all(row.defense == "plain" for row in found):
        lines[-1] += " No defense was measured on this set: nothing is known of what one gives back."
    return head + "\n".join(lines)


def _licence(plan: Plan) -> str:
    return (
        f"That of {plan.experiment.dataset.name} holds for these sets as well, as they are made of its images.\n"
        f"sepbench does not know it: **look it up, fill in `license:` above and say it here, before you hand "
        f"anything on**. Until then it says `unknown`."
    )


def _citations(sets: Sequence[ReadySet], known: Mapping[str, Sequence[Judged]]) -> str:
    cited = {METHODS.get(one.planned.cell.method.name).cite for one in sets}
    for row in (row for rows in known.values() for row in rows):
        cited |= _papers_of(row.defense)
    entries = bibtex({key for key in cited if key})
    said = f"The data set's own paper, sepbench {__version__} as its CITATION.cff says, and the papers of what was used"
    return f"{said}:\n\n```bibtex\n{entries}\n```" if entries else f"{said}."


def _papers_of(defense: str) -> set[str | None]:
    try:
        return {part.cite for part in Defenses.parse(defense).chain}
    except (SepbenchError, ValueError):  # a record of somebody whose defense is not here
        return set()
