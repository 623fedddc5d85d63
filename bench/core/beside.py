"""Our own packages of plug-ins: those that lie beside `bench`, whatever else has their names."""

import logging
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from bench.core.errors import SepbenchError
from bench.core.git import ROOT

_LOG = logging.getLogger("sepbench")


def folders_of(package: str) -> list[Path]:
    """Return where the modules of a package lie: beside `bench`, else wherever Python finds it; not imported."""
    imported, beside = sys.modules.get(package), ROOT.joinpath(*package.split("."))
    if imported is not None and _lies_in(imported.__spec__, beside):
        return [Path(folder) for folder in imported.__path__]
    if beside.is_dir():
        return [beside]
    spec = find_spec(package)
    return [Path(folder) for folder in spec.submodule_search_locations or []] if spec else []


def import_beside(package: str) -> ModuleType:
    """Import a package; where one of its name lies beside `bench`, that one.

    `python -m bench` looks into the working directory first, and `methods` is what many call a folder of their own. A
    warning says what is not looked at.

    Raises
    ------
    SepbenchError
        Another package of its name is imported already.

    """
    top = package.partition(".")[0]
    if (ROOT / top / "__init__.py").is_file():
        if top not in sys.modules:
            _import_ours(top)
        elif not _lies_in(sys.modules[top].__spec__, ROOT / top):
            raise SepbenchError(
                f"{_place(sys.modules[top].__spec__)} is imported as {top}, which is what sepbench calls a package of "
                "its own: start where there is none of that name, or rename it"
            )
    return import_module(package)


def _import_ours(name: str) -> None:
    try:
        found = find_spec(name)
    except (ImportError, ValueError):
        found = None
    if _lies_in(found, ROOT / name):
        return
    spec = spec_from_file_location(name, ROOT / name / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    if found is not None:
        _LOG.warning(
            "%s is not looked at, as sepbench has %s of its own: name files of yours with --plugin FILE.py",
            _place(found),
            name,
        )


def _lies_in(spec: ModuleSpec | None, folder: Path) -> bool:
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve().is_relative_to(folder)


def _place(spec: ModuleSpec | None) -> str:
    folders = [*(spec.submodule_search_locations or [])] if spec else []
    return folders[0] if folders else (spec.origin if spec and spec.origin else "another module")
