"""Figures, made with seaborn on a canvas of their own: no display, no global state."""

from matplotlib.figure import Figure

from bench.diagnostics import Similarity


def similarity_heatmap(similarity: Similarity) -> Figure:
    """Return the matrix of cosine similarities between networks' input gradients, from -1 to 1."""
    import seaborn

    count = len(similarity.networks)
    side = max(3.2, 0.42 * count + 1.8)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    seaborn.heatmap(
        similarity.cosine,
        ax=axes,
        vmin=-1,
        vmax=1,
        cmap="RdBu_r",
        square=True,
        annot=count <= 12,
        fmt=".2f",
        annot_kws={"size": 7},
        xticklabels=similarity.networks,
        yticklabels=similarity.networks,
        cbar_kws={"label": "mean cosine similarity", "shrink": 0.8},
    )
    axes.set_title(f"{similarity.what}: input gradients", fontsize=10)
    axes.tick_params(labelsize=8)
    return figure
