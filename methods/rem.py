"""Robust error-minimising noise: what nothing can be learnt from, even where a network trains adversarially.

Fu et al., "Robust Unlearnable Examples: Protecting Data Privacy Against Adversarial Learning", ICLR 2022.
"""

import torch
from torch import Tensor

from bench.api import METHODS, Learner
from methods._stepwise import Adversary, Draw, RobustParams, Stepwise, over_crops


@METHODS.register("rem")
class REM(Stepwise[RobustParams]):
    """Lowers the highest loss that an adversary finds within a radius of cropped images, while a network learns.

    For each batch the noise is made anew from a random start: a gradient is averaged over random crops and flips, each
    of which an adversary moves by PGD, is taken there and sent back through the crop. The network then takes one step
    of adversarial training on them. At the end the noise of every image is made once more. Beside the released script:
    images are clipped to [0, 1] before they are cropped, here also where the network learns; no noise is kept beyond
    that, where it would have no gradient; and all images have part in the last search. With a radius of 0 and no crops
    it is em-online.
    """

    cite = "fu2022robust"

    @property
    def _searched(self) -> int:
        return self.params.noise_steps * max(self.params.samples, 1) * self._learnt

    @property
    def _learnt(self) -> int:
        return 1 + Adversary.of(self.params).steps

    def _gradient(self, images: Tensor, y: Tensor, learner: Learner, generator: Draw) -> Tensor:
        def moved(seen: Tensor, draws: torch.Generator) -> Tensor:
            return Adversary.of(self.params).attacked(seen, y, learner, draws)

        return over_crops(images, y, learner, self.params.samples, moved, generator)

    def _to_learn(self, seen: Tensor, y: Tensor, learner: Learner, generator: Draw) -> Tensor:
        return Adversary.of(self.params).attacked(seen, y, learner, generator("adversary"))
