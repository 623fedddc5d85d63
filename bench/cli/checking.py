"""`check`: whether a plug-in keeps its promises."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from bench.cli.help_example import example
from bench.cli.options import pair
from bench.core.errors import SepbenchError


@click.command(epilog=example("sepbench check uniform_shift.py"))
@click.argument("plugin", metavar="FILE.py|PACKAGE")
@click.option(
    "--set", "given", multiple=True, metavar="FIELD=VALUE", help="Set a parameter of the plug-in, such as root=PATH."
)
def check(plugin: str, given: Sequence[str]) -> None:
    """Check a plug-in against what its contract says, and explain each failure in a sentence.

    On small images and untrained networks, in seconds. A package is one that is installed, with all of its plug-ins.
    Exit code 1 where a check fails.
    """
    from bench.checks.examining import Finding, examine, summary
    from bench.checks.subjects import subjects_of
    from bench.core.registry import BrokenPlugin

    values = dict(_parameter(one) for one in given)
    try:
        subjects = subjects_of(plugin, values)
    except BrokenPlugin as broken:
        subjects, findings = [], [Finding(plugin, "✗", f"can be used: {broken}")]
        click.echo(f"{plugin}\n{findings[0]}")
    else:
        findings = []
    for found in examine(subjects):
        if not findings or findings[-1].subject != found.subject:
            click.echo(found.subject)
        click.echo(str(found))
        findings.append(found)
    click.echo(summary(findings))
    if any(one.mark == "✗" for one in findings):
        sys.exit(1)


def _parameter(given: str) -> tuple[str, Any]:
    from bench.spec.yaml_text import NotYaml, value_of

    name, text = pair("--set", given)
    try:
        return name, value_of(text)
    except NotYaml as error:
        raise SepbenchError(f"--set {given}: the value is not YAML: {error}") from error
