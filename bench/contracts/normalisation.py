"""Fixed constants of normalisation, where a protocol does not measure them on the images that it trains on."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from bench.contracts.plugin import Params

_Share = Annotated[float, Field(ge=0, le=1)]
_Spread = Annotated[float, Field(gt=0, le=1)]


class Constants(Params):
    """Mean and standard deviation of each channel, on the scale of images in [0, 1]: red, green, blue."""

    mean: Annotated[tuple[_Share, ...], Field(min_length=3, max_length=3, strict=False)]
    std: Annotated[tuple[_Spread, ...], Field(min_length=3, max_length=3, strict=False)]


CONSTANTS = {
    "cifar10": Constants(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
    "cifar100": Constants(mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762)),
    "imagenet": Constants(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
}
"""Those of the whole training sets, to the digits in which they are quoted."""

Normalisation = Annotated[
    Annotated[Literal["measured", "cifar10", "cifar100", "imagenet"], Tag("name")] | Annotated[Constants, Tag("own")],
    Discriminator(lambda value: "own" if isinstance(value, Mapping | Constants) else "name"),
]
"""`measured` on what is trained on, or fixed: a name in `CONSTANTS`, or constants of one's own."""
