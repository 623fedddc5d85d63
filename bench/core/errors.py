"""Errors that are meant for the person at the keyboard."""


class SepbenchError(ValueError):
    """The request cannot be carried out; the message is one sentence: what is wrong, where, what to do.

    A ValueError, so that one raised while a specification is validated is reported with its file and field.
    """

    exit_code = 2


class NotHere(SepbenchError):  # noqa: N818 - reads as what it is
    """A data set was never brought to this machine; the message says how to."""


class FieldError(SepbenchError):
    """A mistake in a part of a field, given by its path below that field."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


class Stopped(Exception):  # noqa: N818 - not an error: the run was asked to stop and can go on later
    """The run stopped early, by `--time-limit` or a signal, and can be resumed."""

    exit_code = 3
