"""What `sepbench plan` answers, as far as it lasts: what the machine is doing just now is no part of it."""

from collections.abc import Sequence

from bench.cli.once import Made
from bench.cli.options import planned
from bench.core.device import choose_devices
from bench.data.loading import PublishedCard, places_of
from bench.plan.outlook import outlook, outlook_fields, outlook_lines
from bench.plan.plugin_sources import changed_since
from bench.store.home import Home

_MOST_FILES = 5_000
"""To look at so many is quick: with more, as of a large folder of pictures, a plan is made each time."""


def plan(
    experiment: str,
    overrides: Sequence[str],
    profile: str | None,
    only: Sequence[str],
    *,
    home: Home,
    devices: str,
    jobs: int,
    every_stage: bool,
    as_json: bool,
) -> Made:
    """Return the outlook as JSON or as lines, sentences besides, and what is asked of the machine."""
    processes = choose_devices(devices) * jobs
    wanted = planned(experiment, overrides, profile, only, without_data=True)
    several = len({*processes})
    view = outlook(wanted, home, processes[0], len(processes) // several)
    said = changed_since(wanted, home.store)
    if several > 1:
        said.append(f"times are those of {processes[0]} alone, and {several} devices share the stages")
    told = outlook_fields(view) if as_json else outlook_lines(view, every_stage)
    elsewhere = isinstance(wanted.card, PublishedCard)  # it may be brought to any of several places
    places = [] if elsewhere else places_of(wanted.experiment.dataset)
    read = [*places, *(path for one in wanted.experiment.defenses for path in one.reads())]
    lasting = not elsewhere and len(read) <= _MOST_FILES
    return Made({"told": told, "said": said, "asked": vars(view.asked)}, read, lasting)
