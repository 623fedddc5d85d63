"""A smaller data set with the same class proportions."""

import numpy as np
from numpy.typing import NDArray


def stratified_prefix(labels: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Choose `limit` images: of each class the first ones, as many as is its share.

    Shares are rounded by largest remainders, ties to the lower label. Where `limit` is at least the number of
    classes present, none goes empty: the largest classes give way.

    Parameters
    ----------
    labels
        int64 [N], all at least 0.
    limit
        From 1 to N.

    Returns
    -------
    int64 [limit], ascending positions in `labels`.

    """
    counts = np.bincount(labels)
    # Integer arithmetic: a float share a rounding error below a whole number would lose an image.
    share, remainder = np.divmod(counts * limit, len(labels))
    unassigned = limit - share.sum()
    share[np.argsort(-remainder, kind="stable")[:unassigned]] += 1
    if limit >= np.count_nonzero(counts):
        for empty in np.flatnonzero((share == 0) & (counts > 0)):
            share[share.argmax()] -= 1
            share[empty] += 1

    by_class = np.argsort(labels, kind="stable")
    rank = np.empty_like(labels)
    rank[by_class] = np.arange(len(labels)) - np.repeat(counts.cumsum() - counts, counts)
    return np.flatnonzero(rank < share[labels])
