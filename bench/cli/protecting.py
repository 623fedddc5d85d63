"""`protect`: a person's pictures in, protected pictures out, and whether it holds."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from bench.cli.help_example import example
from bench.cli.options import DEVICE, PLUGIN, say
from bench.core.errors import SepbenchError

_SILENCE_SECONDS = 10.0


@click.command(epilog=example("sepbench protect pictures --out protected --plan"))
@click.argument("images", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for what comes out; new or empty.")
@click.option(
    "--method", default="sep-fast", show_default=True, metavar="NAME", help="Or '{NAME: {PARAMETER: VALUE}}'."
)
@click.option("--budget", default="linf-8", show_default=True, metavar="BUDGET", help="How far a picture may change.")
@click.option("--recipe", metavar="NAME", help="How networks are trained; by default as pictures and device suggest.")
@click.option("--surrogate", metavar="NAME", help="The protecting network; by default as size and device suggest.")
@click.option("--size", type=click.IntRange(8, 1024), metavar="PIXELS", help="Side at which perturbations are crafted.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), metavar="N", help="Of all that is random."
)
@PLUGIN
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be done, and stop.")
@click.option("--no-check", is_flag=True, help="Leave out the check of what the protection holds.")
@click.option(
    "--format",
    "form",
    default="png",
    show_default=True,
    type=click.Choice(["png", "jpeg"]),
    help="Of files of a folder.",
)
@click.option("--lossy", is_flag=True, help="Take the loss of JPEG, which no budget bounds.")
@click.option("--quality", default=95, show_default=True, type=click.IntRange(1, 100), metavar="1-100", help="Of JPEG.")
@DEVICE
@click.option("--time-limit", metavar="DURATION", help="Stop at the next safe point after 90s, 9m, 1h30m; exit code 3.")
def protect(
    images: Path,
    out: Path | None,
    method: str,
    budget: str,
    recipe: str | None,
    surrogate: str | None,
    size: int | None,
    seed: int,
    only_plan: bool,
    no_check: bool,
    form: str,
    lossy: bool,
    quality: int,
    devices: str,
    time_limit: str | None,
) -> None:
    """Protect pictures of your own: a folder with one folder a class in, the same files protected out.

    FOLDER may also be parquet in the Hugging Face layout or an .npz. Originals are only read. MLflow is told nothing.
    The same command again goes on where a stopped one was.
    """
    from bench.core.device import choose_device
    from bench.core.duration import parse_duration
    from bench.flows.announcement import announcement
    from bench.flows.carry_out import Means, workplace
    from bench.flows.deliver import Delivery, report
    from bench.flows.does_it_hold import check_passes, judge, not_checkable, plan_check
    from bench.flows.lossy import COST, check_loss
    from bench.flows.protect import plan_protection
    from bench.plan.plugin_sources import changed_since
    from bench.run.stopping import Stop
    from bench.store.home import Home

    if out is None and not only_plan:
        raise SepbenchError("protect needs --out DIR, a folder for the protected pictures that is new or empty")
    check_loss(images, form, lossy)
    stop = Stop(None if time_limit is None else parse_duration(time_limit))
    means = Means(Home.find(), choose_device(devices), stop, mlflow=False)
    protection = plan_protection(
        images,
        method=_method(method),
        budget=budget,
        recipe=recipe,
        surrogate=surrogate,
        size=size,
        seed=seed,
        home=means.home,
        device=means.device,
        progress=_Reading(),
    )
    delivery = None if out is None else Delivery(protection, out, form, quality)
    obstacle = None if no_check else not_checkable(protection)
    checked = not (no_check or obstacle)
    click.echo(announcement(protection, check_passes(protection) if checked else 0.0))
    if obstacle:
        click.echo(obstacle)
    if only_plan or delivery is None:
        return
    for sentence in changed_since(protection.plan, means.home.store, anew=None):
        say(sentence)
    if lossy and form == "jpeg":
        say(COST)
    pictures = len(protection.originals)
    with delivery:
        with workplace(protection.plan, means) as place:
            for sentence in delivery.craft(place):
                say(sentence)
        with click.progressbar(length=pictures, label=f"writing {pictures:,} pictures", file=sys.stderr) as bar:
            made = delivery.write(lambda written: bar.update(1))
    click.echo(f"\n{report(made)}")
    if checked:
        evaluation = plan_check(protection, made.out, lossy=form == "jpeg")
        with workplace(evaluation.plan, means) as place:
            held = judge(evaluation, place)
        click.echo(f"\n{held.text()}", nl=False)


class _Reading:
    """Says how many pictures are read, where that takes long."""

    def __init__(self) -> None:
        self._spoke = time.monotonic()

    def __call__(self, read: int) -> None:
        if time.monotonic() - self._spoke > _SILENCE_SECONDS:
            say(f"{read:,} pictures are read")
            self._spoke = time.monotonic()


def _method(text: str) -> str | dict[str, Any]:
    """Return a method's name, or the mapping of its name to its parameters that the text holds."""
    if not text.lstrip().startswith("{"):
        return text
    from bench.spec.yaml_text import NotYaml, value_of

    try:
        found = value_of(text)
    except NotYaml as error:
        raise SepbenchError(f"--method {text}: this is not YAML: {error}") from error
    return {str(name): value for name, value in found.items()}
