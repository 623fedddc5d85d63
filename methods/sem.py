"""Stable error-minimising noise: chance takes the place of the adversary that the noise is made against.

Liu et al., "Stable Unlearnable Example: Enhancing the Robustness of Unlearnable Examples via Stable Error-Minimizing
Noise", AAAI 2024.
"""

from torch import Tensor

from bench.api import METHODS, Learner
from methods._stepwise import Adversary, Draw, RobustParams, Stepwise, over_crops


@METHODS.register("sem")
class SEM(Stepwise[RobustParams]):
    """Lowers the loss of cropped images that are moved at random within a radius, while a network learns.

    It is rem, but for the noise's search: no adversary moves the crops there, each is moved by one uniform draw. The
    network still trains adversarially. It costs about a ninth of rem.
    """

    cite = "liu2024stable"

    @property
    def _searched(self) -> int:
        return self.params.noise_steps * max(self.params.samples, 1)

    @property
    def _learnt(self) -> int:
        return 1 + Adversary.of(self.params).steps

    def _gradient(self, images: Tensor, y: Tensor, learner: Learner, generator: Draw) -> Tensor:
        return over_crops(images, y, learner, self.params.samples, Adversary.of(self.params).at_random, generator)

    def _to_learn(self, seen: Tensor, y: Tensor, learner: Learner, generator: Draw) -> Tensor:
        return Adversary.of(self.params).attacked(seen, y, learner, generator("adversary"))
