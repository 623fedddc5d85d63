"""YAML files that come with sepbench."""

from importlib.resources import files


def shipped(package: str) -> list[str]:
    """Return the names of the YAML files in a package of ours, sorted."""
    names = (path.name for path in files(package).iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))
