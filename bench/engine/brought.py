"""Protected images that somebody brought, kept in the store by the digest of their content."""

from collections.abc import Mapping

from torch import Tensor

from bench.contracts.budget import Budget
from bench.core.errors import SepbenchError
from bench.core.norms import NORMS
from bench.data.images import ImageSet
from bench.engine.release import BudgetExceeded
from bench.store.artifacts import CorruptArtifact, Store

KIND = "brought"
"""What the store calls such an artifact."""


def keep(store: Store, images: ImageSet) -> None:
    """Keep a training set whose images are protected, uint8, under its digest."""
    if store.has(KIND, images.sha256):
        return
    draft = store.draft(KIND, images.sha256)
    draft.put("images", {"images": images.images})
    draft.commit({}, ["images"])


def kept(store: Store, sha256: str) -> Tensor:
    """Return the images, uint8 [N, 3, H, W].

    Raises `SepbenchError` where the store has none of this digest, or what it has is damaged.
    """
    again = "bring them again with sepbench evaluate PROTECTED --clean DATA"
    if not store.has(KIND, sha256):
        raise SepbenchError(f"the images {sha256[:12]} that somebody brought are not in {store.root}: {again}")
    try:
        return store.tensors(KIND, sha256, "images")["images"]
    except CorruptArtifact as damage:
        store.set_aside(damage.kind, damage.key, damage.what)
        raise SepbenchError(f"the images {sha256[:12]} that somebody brought are damaged: {again}") from damage


def check_spent(spent: Mapping[str, float], budget: Budget | None) -> None:
    """Raise `BudgetExceeded` where more was spent than a budget allows."""
    bound = None if budget is None else NORMS[budget.norm].bound
    if bound is None or budget is None or budget.size is None:
        return
    if spent[bound.field] > budget.size * (1 + bound.slack):
        raise BudgetExceeded(f"the images that were brought spend {spent[bound.field]:g} {bound.unit} of {budget}")
