"""Training on the user's own cleaned copy of the release, whatever cleaned it."""

import numpy as np
import torch
from torch import Tensor

from bench.api import DEFENSES, Defense, Field, Params, SepbenchError, refuse_large_archive, what_it_is


class PurifiedParams(Params):
    """Parameters of the purified copy."""

    by: str = Field(
        "unnamed", pattern=r"^[A-Za-z0-9_.]+$", description="what cleaned the images, such as avatar or bridgepure"
    )
    folder: str = Field(
        "${SEPBENCH_PURIFIED}",
        description="holds a KEY.npz for each training set, as sepbench export names them, with cleaned `images`",
    )


@DEFENSES.register("purified")
class Purified(Defense[PurifiedParams]):
    """The release as a generative model or another tool outside sepbench has cleaned it, from a folder of copies.

    `sepbench export` writes what each victim trains on as `KEY.npz`, with the clean images that it has; a purifier
    writes a file of the same name whose `images`, uint8 [N, H, W, 3], are cleaned, in the same order. AVATAR
    (Dolatabadi et al. 2023), D-VAE (Yu et al. 2024) and BridgePure (Wang et al. 2025) are such purifiers. It comes
    first in a chain. A result depends on the copy of its own training set and on no other file in the folder.
    """

    short = "by"
    copies = "folder"
    words = "purification by {by}"

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the copy of these images; raises `SepbenchError` where there is none, or it does not fit them."""
        path = self.own_copy()
        refuse_large_archive(path, ["images"])
        try:
            with np.load(path, allow_pickle=False) as archive:
                copy = archive["images"]
        except FileNotFoundError as error:
            raise SepbenchError(
                f"purified: there is no {path.name} in {path.parent}: let sepbench export write it, with the --profile "
                f"and --set of this run, clean its images, and put the copy there under the same name"
            ) from error
        except Exception as error:  # what a broken archive makes of a reader is without bounds
            named = what_it_is(path) or "is no archive with `images`: make it with numpy.savez"
            raise SepbenchError(f"purified: {path} {named}") from error
        expected = (len(images), *images.shape[2:], 3)
        if copy.dtype != np.uint8 or copy.shape != expected:
            raise SepbenchError(
                f"purified: `images` of {path} are {copy.dtype} {copy.shape}: they must be uint8 {expected}"
            )
        return torch.from_numpy(copy).permute(0, 3, 1, 2).contiguous().to(images.device)
