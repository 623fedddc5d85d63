"""Putting tensors into a draft while a GPU goes on."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from bench.store.draft import Draft


class BackgroundDraft:
    """Puts into a draft from a thread of its own, one after the other in the order in which they were asked for.

    At most one put runs: the next waits for it, so that a slow disk slows training down rather than filling memory.
    A put that failed is raised by the next one, or by `wait`.

    Parameters
    ----------
    draft
        Of the stage; nobody else may write to it meanwhile.
    meanwhile
        False waits for each put, as if there were no thread: on a CPU writing takes little of the time, and a kill
        then loses nothing that was put.

    """

    def __init__(self, draft: Draft, *, meanwhile: bool = True) -> None:
        self._draft, self._meanwhile = draft, meanwhile
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="draft")
        self._running: Future[None] | None = None

    def put(self, name: str, tensors: Mapping[str, Tensor], info: Mapping[str, Any] = {}) -> None:
        """Take copies of tensors as they are now, and put them as `Draft.put` does; raises what the last put raised."""
        self.wait()
        if not self._meanwhile:
            self._draft.put(name, tensors, info)
            return
        # On their device: training changes them in place, and what they are copied by is queued behind what made them.
        copies = {key: tensor.detach().clone() for key, tensor in tensors.items()}
        self._running = self._threads.submit(self._put, name, copies, info, _made(copies))

    def wait(self) -> None:
        """Wait until everything that was put is on the disk; raises what the last put raised."""
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def close(self) -> None:
        """Wait for the thread to end."""
        self._threads.shutdown()

    def _put(
        self, name: str, copies: Mapping[str, Tensor], info: Mapping[str, Any], made: "torch.cuda.Event | None"
    ) -> None:
        if made is None:
            self._draft.put(name, copies, info)
            return
        stream = torch.cuda.Stream(next(iter(copies.values())).device)
        stream.wait_event(made)
        with torch.cuda.stream(stream):  # on that of training each tensor would wait for all that is queued there
            self._draft.put(name, copies, info)


@contextmanager
def in_background(draft: Draft, *, meanwhile: bool = True) -> Iterator[BackgroundDraft]:
    """Yield a `BackgroundDraft` to put into; when the block ends, however it does, all of it is on the disk.

    Raises what the last put raised.
    """
    background = BackgroundDraft(draft, meanwhile=meanwhile)
    try:
        yield background
    finally:
        try:
            background.wait()
        finally:
            background.close()


def _made(copies: Mapping[str, Tensor]) -> "torch.cuda.Event | None":
    device = next((tensor.device for tensor in copies.values()), torch.device("cpu"))
    return torch.cuda.current_stream(device).record_event() if device.type == "cuda" else None
