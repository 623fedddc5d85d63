"""What a method promises."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from bench.checks.failure import Failure, about, check_description, check_parameters, require
from bench.checks.inputs import (
    ARCHITECTURE,
    BUDGETS,
    CLASSES,
    CPU,
    PICTURES,
    digits,
    networks,
    small_params,
    with_images,
)
from bench.checks.memory_keeper import MemoryKeeper
from bench.checks.repeatable import check_chance
from bench.contracts.budget import UNLIMITED, Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import CraftData, Method, Surrogate
from bench.contracts.plugin import Params
from bench.contracts.promises import check_crafted, check_left_alone
from bench.core.errors import Stopped
from bench.core.norms import NORMS, to_bytes
from bench.core.seeds import derive
from bench.data.images import ImageSet
from bench.engine.release import BudgetExceeded, audit, release

_OF_AN_IMAGE = 0.01
"""Share of an image's bytes that may differ between shards: convolutions of another batch size round differently, and a
gradient within that error of zero may change its sign. What depended on its shard would differ nearly everywhere."""

_STOPS = 500
"""Rounds that a method may have, of eight images and small parameters."""

_SIZES = {"linf": (1.0, 8.0, 64.0), "l2": (0.1, 1.0, 10.0), "l0": (1.0, 4.0, 100.0)}


@dataclass(frozen=True)
class Case:
    """A method with parameters, under a budget; None for one that takes none."""

    kind: type[Method]
    params: Params
    budget: Budget | None

    @classmethod
    def each(cls, kind: type[Method], given: dict[str, Any] | None = None) -> Iterator["Case"]:
        """Yield the method with small parameters under a budget of each of its norms."""
        params = small_params(kind, given)
        for norm in kind.norms or (None,):
            yield cls(kind, params, None if norm is None else BUDGETS[norm])

    def build(self) -> Method:
        """Return the method, ready to craft."""
        return self.kind(self.params)


def describes_itself(case: Case) -> None:
    """Fail without a docstring, a version, described parameters."""
    check_description(case.kind)
    check_parameters(case.kind)


def says_what_it_costs(case: Case) -> None:
    """Fail where needs() or passes() do not say what crafting takes before anything is trained."""
    method = case.build()
    needs, passes = method.needs(), method.passes()
    surrogates = isinstance(needs, list | tuple) and all(isinstance(one, Surrogate) for one in needs)
    require(surrogates, f"needs returns {needs!r}: return a list of bench.api.Surrogate", "needs")
    for need in needs:
        require(need.seed >= 0, f"needs returns {need!r}, whose seed is below 0: count seeds from 0", "needs")
    costs = {"passes": passes, "image_passes": method.image_passes(), "forward_passes": method.forward_passes()}
    for name, cost in costs.items():
        number = isinstance(cost, int | float) and not isinstance(cost, bool) and cost >= 0
        require(number, f"{name} returns {cost!r}: return a number from 0 up", name)
    require(
        not needs or passes > 0,
        f"passes returns 0, and it needs {len(needs)} surrogate{'s' * (len(needs) > 1)}: return how many forward and "
        f"backward passes over the training set crafting takes",
        "passes",
    )


def returns_images_and_leaves_its_inputs_alone(case: Case) -> None:
    """Fail where craft returns no floats of the shape of the data, or changes images, labels or networks in place."""
    method, data, name = case.build(), _data(digits()), case.kind.name
    before = {field: getattr(data, field).clone() for field in ("x", "y", "index")}
    surrogates = networks(method)
    weights = [value.clone() for value in _weights(surrogates)]
    with about("craft"):
        crafted = _crafted(method, data, case.budget, _context(method, surrogates, data))
        check_left_alone(name, {field: (getattr(data, field), value) for field, value in before.items()})
        check_crafted(name, before["x"], crafted)
    require(
        all(torch.equal(old, new) for old, new in zip(weights, _weights(surrogates), strict=True)),
        "it changes the weights or the statistics of its surrogates: leave them in eval mode, and step no optimizer",
        "craft",
    )


def keeps_its_budget(case: Case) -> None:
    """Fail where bytes leave the budget, for images at the edges of what there may be and sizes large and small."""
    pictures = with_images(np.stack([*PICTURES.values()]))
    for data in (digits(), pictures):
        for budget in _of_other_sizes(case.budget):
            images = released(replace(case, budget=budget), data)
            if not is_within(budget, data.images, images):
                raise Failure(
                    f"under {budget} an image moves by {_moved(budget, data.images, images)}: end craft with "
                    f"budget.project(data.x, images)",
                    "craft",
                )


def takes_chance_from_its_seed_alone(case: Case) -> None:
    """Fail where the same seed gives other bytes."""
    data = ImageSet(digits().images[:8], digits().labels[:8], digits().classes)
    check_chance(
        lambda: (released(case, data, seed=3),),
        "the crafted images",
        "take every draw from ctx.generator()",
        "craft",
    )


def crafts_images_one_by_one_where_it_says_so(case: Case) -> None:
    """Fail where `per_sample` is set, and an image comes out other in another shard."""
    if not case.kind.per_sample:
        return
    whole = released(case, digits())
    require(
        torch.equal(released(case, digits(), calls=2), whole),
        "per_sample is set, and images come out other when craft is called once more with the same ones: what it "
        "returns depends on what an earlier call has left; let craft keep nothing in self or elsewhere, and prepare "
        "whatever all calls share",
        "craft",
    )
    for size in (1, 7):
        differing = (released(case, digits(), size=size) != whole).flatten(1).float().mean(1)
        require(
            float(differing.max()) <= _OF_AN_IMAGE,
            f"per_sample is set, and {int((differing > _OF_AN_IMAGE).sum())} of {len(whole)} images come out other "
            f"where they are crafted {size} at a time: set per_sample = False, or let no image depend on others of the "
            f"call, nor on their number; data.index tells which images these are",
            "craft",
        )


def takes_the_passes_that_it_says(case: Case) -> None:
    """Fail where crafting takes more or fewer gradients of each image than passes() says.

    A gradient whose own graph is kept, to differentiate it once more, counts for two: with that second one it is three.
    A method that trains may take fewer, where it stops by itself or a batch is less than full, and says how many.
    """
    method, data = case.build(), _data(digits(), slice(0, 4))
    context = _context(method, networks(method), data)
    with counted_images() as counts:
        _crafted(method, data, case.budget, context)
    if case.kind.trains:
        images, most = counts["backward"] + counts["kept"], method.passes() * len(data.x) + method.image_passes()
        require(
            images == context.spent,
            f"crafting takes the gradients of {images} images, and ctx.spent counts {context.spent:g}: add to it what "
            f"no Learner counts",
            "craft",
        )
        require(
            images <= most,
            f"crafting takes the gradients of {images} images, and passes() and image_passes() come to {most:g}: "
            f"return what it takes at most",
            "passes",
        )
        return
    taken = (counts["backward"] + counts["kept"]) / len(data.x)
    require(
        taken == method.passes() and counts["forward"] >= counts["backward"] - counts["kept"],
        f"passes returns {method.passes():g}, and crafting takes {taken:g} gradient passes of each image: return that",
        "passes",
    )
    alone = (counts["forward"] - counts["backward"] + counts["kept"]) / len(data.x)
    require(
        alone <= method.forward_passes(),
        f"forward_passes returns {method.forward_passes():g}, and crafting takes {alone:g} passes of each image that "
        f"go forward alone: return that",
        "forward_passes",
    )


def goes_on_where_it_was_stopped(case: Case) -> None:
    """Fail where a method that has rounds ends otherwise when it is stopped after each and goes on."""
    data, keeper = ImageSet(digits().images[:8], digits().labels[:8], digits().classes), MemoryKeeper()
    if case.kind.per_sample and not _prepares_in_rounds(case, data):
        return
    where = "prepare" if case.kind.per_sample else "craft"
    for _ in range(_STOPS):
        try:
            resumed = released(case, data, keeper=keeper)
            break
        except Stopped:
            require(bool(keeper.names()), "it lets no part of it be kept: give ctx.rounds what changes", where)
    else:
        raise Failure(f"it has more than {_STOPS} rounds of eight images: check it with fewer (--set)", where)
    require(
        bool(keeper.names()) or not case.kind.trains,
        "trains is set, and it has no round after which it could be stopped: loop over ctx.rounds(count, name=value) "
        "with what changes from round to round",
        where,
    )
    require(
        torch.equal(resumed, released(case, data)),
        "stopped after each round, and going on from what ctx.rounds kept, it makes other images: give ctx.rounds all "
        "that changes from round to round, and take every draw from ctx.generator(purpose, round)",
        where,
    )


CHECKS: dict[str, Callable[[Case], None]] = {
    "describes itself": describes_itself,
    "says what it costs": says_what_it_costs,
    "returns images and leaves its inputs alone": returns_images_and_leaves_its_inputs_alone,
    "keeps its budget": keeps_its_budget,
    "takes chance from its seed alone": takes_chance_from_its_seed_alone,
    "crafts images one by one where it says so": crafts_images_one_by_one_where_it_says_so,
    "takes the passes that it says": takes_the_passes_that_it_says,
    "goes on where it was stopped": goes_on_where_it_was_stopped,
}
"""By what a method that passes does."""

WITHOUT_BUDGET = ("describes itself", "says what it costs")
"""Those that are the same under every budget."""


def released(
    case: Case,
    data: ImageSet,
    seed: int = 0,
    size: int | None = None,
    calls: int = 1,
    keeper: MemoryKeeper | None = None,
) -> Tensor:
    """Return the bytes that a method makes of images, `size` at a time; raises `Failure` where these are none.

    Of so many `calls` with the same images it returns what the last has made. With a `keeper` it is stopped after the
    first round that it makes.
    """
    whole = _data(data)
    method, context = _prepared(case, data, seed, keeper)
    if case.kind.per_sample:  # no round of its shards is kept
        context.keeper, context.on_round = None, lambda: None
    parts: list[Tensor] = []
    for start in [*range(0, len(data), size or len(data))] * calls:
        part = slice(start, start + (size or len(data)))
        with about("craft"):
            crafted = method.craft(_data(data, part), case.budget or UNLIMITED, context)
            check_crafted(case.kind.name, whole.x[part], crafted)
        try:
            parts.append(release(data.images[part], crafted, case.budget, method.rounding))
        except BudgetExceeded as error:
            raise Failure(f"{error}: end craft with budget.project(data.x, images)", "craft") from error
    return torch.cat(parts)[-len(data) :]


def _prepares_in_rounds(case: Case, data: ImageSet) -> bool:
    try:
        _prepared(case, data, keeper=MemoryKeeper())
    except Stopped:
        return True
    return False


def _prepared(
    case: Case, data: ImageSet, seed: int = 0, keeper: MemoryKeeper | None = None
) -> tuple[Method, CraftContext]:
    method = case.build()
    context = replace(_context(method, networks(method), _data(data)), seed=derive(seed, "craft"))
    if keeper is not None:
        context.keeper, context.on_round = keeper, _stop
    method.prepare(lambda: iter([_data(data)]), context)
    return method, context


def _stop() -> None:
    raise Stopped("after one round")


def is_within(budget: Budget | None, clean: Tensor, images: Tensor) -> bool:
    """Tell whether every image, uint8 [N, 3, H, W], keeps the budget, as its audit has it."""
    bound = None if budget is None else NORMS[budget.norm].bound
    if budget is None or bound is None or budget.size is None:
        return True
    return bool(getattr(audit(clean, images), bound.field) <= budget.size * (1 + max(bound.slack, 1e-12)))


def _moved(budget: Budget | None, clean: Tensor, images: Tensor) -> str:
    assert budget is not None
    bound = NORMS[budget.norm].bound
    assert bound is not None
    return f"{getattr(audit(clean, images), bound.field):g} {bound.unit}"


def _of_other_sizes(budget: Budget | None) -> list[Budget | None]:
    if budget is None or budget.size is None:
        return [budget]
    return [Budget(norm=budget.norm, size=size) for size in _SIZES[budget.norm]]


def _data(data: ImageSet, part: slice = slice(None)) -> CraftData:
    images, labels = data.images[part].float() / 255, data.labels[part].clone()
    return CraftData(images, labels, CLASSES, torch.arange(len(data))[part])


def _context(method: Method, surrogates: list[list[Any]], data: CraftData) -> CraftContext:
    brought = to_bytes(data.x)
    brought[:, 0, 0, 0] ^= 1  # as somebody may bring them: one value of each is a level from the clean one
    trained = ARCHITECTURE if method.trains else ""
    return CraftContext(surrogates, seed=0, device=CPU, images=len(data.x), brought=brought, architecture=trained)


def _crafted(method: Method, data: CraftData, budget: Budget | None, context: CraftContext) -> Tensor:
    method.prepare(lambda: iter([replace(data, x=data.x.clone(), y=data.y.clone())]), context)
    return method.craft(data, budget or UNLIMITED, context)


def _weights(surrogates: list[list[Any]]) -> Iterator[Tensor]:
    return (value for found in surrogates for network in found for value in network.state_dict().values())


@contextmanager
def counted_images() -> Iterator[Counter[str]]:
    """Count the images that go forward and backward through the stem of any network.

    `kept` are those that go backward, as part of `backward`, in a pass that is differentiated itself (create_graph).
    """
    counts: Counter[str] = Counter()

    def forward(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(module, nn.Conv2d) and module.in_channels == 3:
            counts["forward"] += len(output)
            if output.requires_grad:  # a hook of the tensor sees gradients of weights and of images alike
                output.register_hook(partial(backward, len(output)))

    def backward(images: int, gradient: Tensor) -> None:
        counts["backward"] += images
        counts["kept"] += images if torch.is_grad_enabled() else 0

    hook = register_module_forward_hook(forward)
    try:
        yield counts
    finally:
        hook.remove()
