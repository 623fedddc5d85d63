"""From a folder of records to the page."""

from pathlib import Path

from bench.core.disk import make_folder, write_atomically
from bench.core.errors import SepbenchError
from bench.read.leaderboard.matrix import matrices_of
from bench.read.leaderboard.page import render
from bench.read.leaderboard.published_rows import published_rows
from bench.read.leaderboard.rows import rows_of
from bench.read.leaderboard.vetting import vet


def write_leaderboard(folder: Path, out: Path) -> list[str]:
    """Write the leaderboard of the records below `folder` to the file `out`; the same records give the same bytes.

    Returns a sentence for each record that is left out, because it is none or breaks the rules.
    Raises `SepbenchError` where there are no records at all, or the page cannot be written.
    """
    records, refused = vet(folder)
    rows = rows_of(records)
    page = render([*rows, *published_rows()], matrices_of(rows))
    try:
        make_folder(out.parent)
        write_atomically(out, page.encode())
    except OSError as error:
        raise SepbenchError(f"{out} cannot be written ({error.strerror}): name another file with --out") from error
    return refused
