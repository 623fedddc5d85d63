"""Protecting and judging images that are held in memory: the same code as for files, in the home."""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.core.device import choose_device, choose_devices
from bench.core.disk import make_folder, write_atomically, writing
from bench.core.errors import SepbenchError, Stopped
from bench.data.spec import DatasetSpec
from bench.flows.announcement import announcement
from bench.flows.arguments import as_pair, as_share, as_texts, as_whole, as_wholes, check_named, given_text
from bench.flows.carry_out import Means, carry_out, shown, silent, workplace
from bench.flows.deliver import Delivery
from bench.flows.evaluate import plan_evaluation
from bench.flows.from_python import DEVICES, doubted, interrupted, named_in_errors, seconds_of
from bench.flows.homes import check_kept, home_at, is_kept
from bench.flows.in_memory import read_images, read_labels
from bench.flows.protect import plan_protection
from bench.flows.result import Result
from bench.plan.plugin_sources import changed_since
from bench.run.stopping import Stop
from bench.store.home import Home

Images = TypeVar("Images")
"""What holds images: an array or a tensor."""


def protect(
    images: Images,
    labels: Any,
    *,
    method: str | Mapping[str, Any] = "sep-fast",
    budget: str = "linf-8",
    recipe: str | Mapping[str, Any] | None = None,
    surrogate: str | None = None,
    size: int | None = None,
    seed: int = 0,
    devices: str = "auto",
    home: str | Path | None = None,
    progress: bool = True,
) -> Images:
    """Return protected images: on these a network learns little, although hardly anybody sees a difference.

    Parameters
    ----------
    images
        An array or tensor, uint8, or floats in [0, 1]: [N, H, W, 3], [N, 3, H, W], or grey [N, H, W].
    labels
        Whole numbers or names of classes, [N], of at least two classes.
    method
        Its name, or a mapping of the name to its parameters, such as `{"sep": {"steps": 10}}`; parameters left out suit
        the device.
    budget
        How far an image may change: within `linf-8` no value moves by more than 8 of 255 levels.
    recipe
        How the surrogate is trained: a recipe's name or a mapping of its fields; None for what suits the number of
        images, their size and the device.
    surrogate
        Architecture of the protecting network.
    size
        Side in pixels of the square at which perturbations are crafted; None for the images' own, or what the device
        can work with.
    seed
        Of the surrogate and of crafting: the same call gives the same images.
    devices
        `cpu`, `cuda`, `cuda:1`; `auto` is a GPU where there is one.
    home
        Folder to keep the work in, so that a call that was stopped goes on. Without it `$SEPBENCH_HOME`, and where that
        is not set nothing is kept.
    progress
        Whether to say what will be done, and how it goes.

    Returns
    -------
    array or tensor
        Of the same kind, shape, type and device as `images`. Every value is one of 256 levels: floats are rounded to
        them first, so that they may move by half a level more than the budget says. Save them without loss, such as
        in PNG.

    Raises
    ------
    SepbenchError
        Something about the images or the request is wrong: one sentence says what.
    KeyboardInterrupt
        Ctrl-C, or the notebook's stop: the next safe point was reached.

    """
    with ExitStack() as stack:
        stack.enter_context(named_in_errors())
        check_named("method", method, "its name, or a mapping of the name to its parameters")
        given_text("budget", budget, "how far an image may change, such as 'linf-8'")
        _check_choices(recipe, surrogate=surrogate)
        seed = as_whole("seed", seed, 0, "a whole number from 0 up")
        size = None if size is None else as_whole("size", size, 8, "8 pixels or more, or None")
        pixels, form = read_images(images)
        named = read_labels(labels, len(pixels))
        device = choose_device(given_text("devices", devices, DEVICES))
        place = stack.enter_context(home_at(home))
        file = _archive(place, "images", pixels, named)
        stack.enter_context(named_in_errors({file: "images"}))
        protection = plan_protection(
            file,
            method=method,
            budget=budget,
            recipe=recipe,
            surrogate=surrogate,
            size=size,
            seed=seed,
            home=place,
            device=device,
        )
        if progress:
            kept, told = is_kept(home), announcement(protection).replace(str(file), "images").splitlines()
            # A home that nobody asked for is gone at the end: where it lies is of no use.
            print("\n".join(line for line in told if kept or str(place.root) not in line), file=sys.stderr)
        for sentence in changed_since(protection.plan, place.store, anew=None):
            doubted(sentence)
        means = Means(place, device, mlflow=False, display=shown if progress else silent)
        out = file.parent / f"protected-{protection.key({})[:12]}"
        with workplace(protection.plan, means) as at_work:
            try:
                with Delivery(protection, out) as delivery:
                    for sentence in delivery.craft(at_work):
                        doubted(sentence)
                    made = delivery.write()
            except Stopped as stop:
                raise KeyboardInterrupt(str(stop)) from stop
        with np.load(made.out / file.name, allow_pickle=False) as archive:
            protected: Images = form.give_back(archive["images"])
            return protected


def evaluate(
    protected: Any,
    clean: Any,
    labels: Any,
    *,
    test: tuple[Any, Any] | None = None,
    name: str = "protected",
    victims: str | Sequence[str] | None = None,
    defenses: str | Sequence[str] | None = None,
    seeds: int | Sequence[int] = (0,),
    budget: str | None = None,
    recipe: str | Mapping[str, Any] | None = None,
    holdout: float = 0.2,
    devices: str = "auto",
    jobs: int = 1,
    time_limit: str | None = None,
    home: str | Path | None = None,
    progress: bool = True,
    mlflow: bool = False,
) -> Result:
    """Train victims on protected images, judge them on clean ones, and return whether the protection holds.

    Parameters
    ----------
    protected, clean
        Arrays or tensors, uint8, or floats in [0, 1]: [N, H, W, 3], [N, 3, H, W], or grey [N, H, W]. Their order may
        differ where the pairs can be told by their distance.
    labels
        Of the clean images: whole numbers or names of classes, [N].
    test
        Clean test images and their labels; without them a share `holdout` of each class is held out, and nobody trains
        on its protected copies.
    name
        What records call the method.
    victims, defenses, seeds
        Who trains, what they do about it, and how often: `("resnet8",)`, `("plain", "grayscale", "jpeg-10")`.
    budget
        The budget that was to be kept; None for the smallest usual one that every image keeps.
    recipe
        How victims are trained: a recipe's name or a mapping of its fields; None for what suits the device.
    holdout
        In (0, 1).
    devices, jobs, time_limit, home, progress, mlflow
        As of `bench.run`.

    Returns
    -------
    Result
        Its `verdict` says whether it holds, its `report` what was spent of the budget.

    Raises
    ------
    SepbenchError
        Something about the images or the request is wrong: one sentence says what.
    KeyboardInterrupt
        Ctrl-C, or the notebook's stop: the next safe point was reached.

    """
    with ExitStack() as stack:
        stack.enter_context(named_in_errors())
        given_text("name", name, "what records are to call the method")
        names = "a name, or a list of names"
        victims = None if victims is None else as_texts("victims", victims, names)
        defenses = None if defenses is None else as_texts("defenses", defenses, names)
        seeds = as_wholes("seeds", seeds, "a whole number from 0 up, or a list of them")
        _check_choices(recipe, budget=budget)
        holdout = as_share("holdout", holdout)
        jobs = as_whole("jobs", jobs, 1, "one or more processes")
        beside = None if test is None else as_pair("test", test, "(images, labels)")
        released, pixels = (
            _in_colour(read_images(one, what)[0]) for one, what in ((protected, "protected"), (clean, "clean"))
        )
        named = read_labels(labels, len(pixels))
        if released.shape != pixels.shape:
            raise SepbenchError(
                f"protected is of shape {released.shape} and clean of {pixels.shape}: give both of one size"
            )
        check_kept(home, mlflow)
        stop = Stop(seconds_of(time_limit))
        device, *further = jobs * choose_devices(given_text("devices", devices, DEVICES))
        place = stack.enter_context(home_at(home))
        files = {
            _archive(place, "images", pixels, named): "clean",
            _archive(place, "protected", released, named): "protected",
            **({} if beside is None else {_test_images(place, *beside): "test"}),
        }
        stack.enter_context(named_in_errors(files))
        clean_file, protected_file, *test_file = files
        data = DatasetSpec.parse({"name": "images", "format": "npz", "train": str(clean_file)})
        evaluation = plan_evaluation(
            protected_file,
            data,
            test=next(iter(test_file), None),
            victims=victims,
            defenses=defenses,
            seeds=seeds,
            name=name,
            budget=budget,
            recipe=recipe,
            holdout=holdout,
            home=place,
            device=device,
        )
        report = evaluation.report()
        if progress:
            print(report, file=sys.stderr)
        display = shown if progress else silent
        means = Means(place, device, stop, further=tuple(further), mlflow=mlflow, display=display, tell=doubted)
        summary = carry_out(evaluation.plan, means, run=lambda plan, call: evaluation.run(call))
        interrupted(summary)
        for sentence in summary.doubts:
            doubted(sentence)
        return Result(evaluation.plan, tuple(summary.records), report)


def _check_choices(recipe: Any, **others: Any) -> None:
    """Raise `SepbenchError` where what may be left out is given as what nobody can read."""
    if recipe is not None:
        check_named("recipe", recipe, "a recipe's name or a mapping of its fields, or None")
    for argument, value in others.items():
        if value is not None:
            given_text(argument, value, "its name, or None")


def _test_images(home: Home, images: Any, labels: Any) -> Path:
    pixels = _in_colour(read_images(images, "test images")[0])
    return _archive(home, "test", pixels, read_labels(labels, len(pixels), "test labels"))


def _in_colour(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images as networks see them, uint8 [N, H, W, 3]."""
    return np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 3 else pixels


def _archive(home: Home, name: str, images: NDArray[np.uint8], labels: NDArray[Any]) -> Path:
    """Return the file in the home that holds these images, in a folder of what it holds: once, however often asked."""
    file = BytesIO()
    np.savez(file, images=images, labels=labels)
    content = file.getvalue()
    path = home.arrays / hashlib.sha256(content).hexdigest()[:16] / f"{name}.npz"
    if not path.is_file():
        with writing(home.arrays):
            make_folder(path.parent)
            write_atomically(path, content, durable=False)
    return path
