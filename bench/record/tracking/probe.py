"""Whether MLflow answers, without changing anything there."""

from bench.record.tracking.address import installed, sqlite_file
from bench.record.tracking.connection import cause, connected


def reachable(uri: str) -> str | None:
    """Return None where MLflow answers at `uri` or its SQLite file is yet to be made, else why it does not."""
    database = sqlite_file(uri)
    if installed() and database is not None and not database.exists():
        return None
    try:
        with connected(uri, reading=True) as client:
            client.search_experiments(max_results=1)
    except Exception as error:
        return cause(error)
    return None
