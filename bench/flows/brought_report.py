"""What there is to know of a protected set before anything is trained on it."""

from collections.abc import Iterator

from bench.contracts.budget import Budget
from bench.core.norms import NORMS
from bench.data.images import ImageSet
from bench.data.loading import DataCard
from bench.data.releases import Brought
from bench.data.releases.spent import Spent
from bench.flows.fitting_budget import beyond

_USUAL = Budget.parse("linf-8")


def report_on(brought: Brought, budget: Budget, given: bool, card: DataCard, images: ImageSet, protected: int) -> str:
    """Return a line for each thing: how it was read and paired, labels, rounding, what was spent, its track.

    `images` are those that are trained on, of which so many are `protected`.
    """
    lines = [*_lines(brought, budget, given, card, images, protected)]
    width = max(len(title) for title, _ in lines)
    head = f"{brought.release.what}, a protected set of {brought.clean.name}"
    return "\n".join([head, *(f"  {title:<{width}}  {text}".rstrip() for title, text in lines)])


def _lines(
    brought: Brought, budget: Budget, given: bool, card: DataCard, images: ImageSet, protected: int
) -> Iterator[tuple[str, str]]:
    release, spent, total = brought.release, brought.spent, len(brought.clean)
    for title, told in zip(("read", ""), release.told, strict=False):
        yield title, told.removeprefix("read ")
    yield "pairing", f"{len(release):,} of {total:,} clean images, {brought.pairing.how}"
    yield "labels", brought.on_labels
    yield "protected", _protected(len(release), spent.changed)
    yield "", _trained_on(protected, len(images))
    yield "bytes", _rounding(brought)
    yield "spent", _spent(spent)
    if brought.resized:
        yield "", "at the size that networks see, as protected images have no other"
    if brought.clean.resize is not None and not brought.resized:
        yield "", f"at the size of the files; networks see {card.width}x{card.height}"
    count = beyond(spent, _USUAL)
    yield "beyond 8/255", f"{count:,} of {len(release):,} images ({_percent(count / len(release))})"
    yield "track", f"{budget}, {_why(budget, given)}"
    yield "digest", f"{images.sha256[:16]}… of the images that are trained on"


def _protected(paired: int, changed: int) -> str:
    if changed == paired:
        return "each image differs from its clean one"
    return f"{changed:,} of {paired:,} images differ from their clean ones; {paired - changed:,} were brought unchanged"


def _trained_on(protected: int, images: int) -> str:
    share = _percent(protected / images)
    rest = "" if protected == images else f"; the other {images - protected:,} are clean"
    return f"{protected:,} of the {images:,} images that are trained on are protected ({share}){rest}"


def _rounding(brought: Brought) -> str:
    spent = brought.spent
    if not spent.floats:
        return "as stored"
    clipped = f"; {_percent(spent.clipped / spent.values)} of them clipped to 0 to 255" if spent.clipped else ""
    if spent.most_off < 1e-3:
        return f"values are whole levels{clipped}"
    return (
        f"values rounded to the nearest of 256 levels, off by {spent.off:.2f} on average and {spent.most_off:.2f} at "
        f"most{clipped}"
    )


def _spent(spent: Spent) -> str:
    norms = (("linf", spent.linf, " levels", 0), ("l2", spent.l2, "", 2), ("l0", spent.l0, " pixels", 0))
    return "; ".join(
        f"{norm} {values.mean():.{max(decimals, 1)}f} on average, {values.max():.{decimals}f}{unit} at most"
        for norm, values, unit, decimals in norms
    )


def _why(budget: Budget, given: bool) -> str:
    if given:
        return "which every image keeps"
    if NORMS[budget.norm].bound is None:
        return "as no usual budget holds for every image"
    return f"the smallest usual {budget.norm} budget that every image keeps"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
