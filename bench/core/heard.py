"""What sepbench warns of while something is done."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LASTING = {"lasting": True}


@contextmanager
def heard() -> Iterator[list[logging.LogRecord]]:
    """Yield the warnings of sepbench in the block, which are said as ever.

    One that was given `extra=LASTING` holds as long as the files do that it tells of.
    """
    warnings: list[logging.LogRecord] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                warnings.append(record)

    logger, ear = logging.getLogger("sepbench"), Ear()
    logger.addHandler(ear)
    try:
        yield warnings
    finally:
        logger.removeHandler(ear)
