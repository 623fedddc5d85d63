"""Examples at the end of a command's help."""


def example(command: str) -> str:
    """Return the `epilog` of a command: one request as a person types it, such as `sepbench run quickstart`.

    Every command has one, as in `@click.command(epilog=example("sepbench run quickstart"))`; a test has it parsed, and
    a new command without one fails there.
    """
    return f"\b\nExample: {command}"
