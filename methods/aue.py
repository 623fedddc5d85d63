"""Augmented unlearnable examples: error-minimising noise that outlasts the augmentation of contrastive learning.

Wang et al., "Efficient Availability Attacks against Supervised and Contrastive Learning Simultaneously", NeurIPS 2024.
"""

from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Learner
from methods._contrastive_views import ContrastiveViews, contrastive, draw_contrastive
from methods._epochwise import Epochwise, EpochwiseParams
from methods._online import search
from methods._pgd import PGD


class AUEParams(EpochwiseParams):
    """Parameters of the alternation; the defaults are the published ones for CIFAR-10."""

    step_fraction: float = Field(0.1, gt=0, description="step size as a share of the budget")
    strength: float = Field(0.6, ge=0, le=1, description="of the views; 1.0 for CIFAR-100, 0 shows images as they are")


@METHODS.register("aue")
class AUE(Epochwise[AUEParams]):
    """Lowers the loss of a network that learns meanwhile, however windows and colours of the images are changed.

    In turns, the network learns for an epoch from random views of the protected images, and all images take signed
    steps, from where they are, that lower its loss in eval mode for a new view of each at every step. The network is
    the experiment's surrogate, freshly initialised, on images in [0, 1]; images that do not fill its last batch wait
    for the next epoch. Left out are one perturbation for each class and views that grow stronger by the epoch, which
    the authors' script also offers.
    """

    cite = "wang2024efficient"

    def _shown(self, batch: Tensor, step: int, ctx: CraftContext) -> Tensor:
        strength = self.params.strength
        if not strength:
            return batch
        drawn = draw_contrastive(len(batch), strength, ctx.generator("views", step), batch.shape[-2:])
        return contrastive(batch, drawn.to(batch.device))

    def _move(
        self, epoch: int, protected: Tensor, learner: Learner, data: CraftData, budget: Budget, ctx: CraftContext
    ) -> None:
        # Drawn for all images at once, and there are many blocks of them.
        views = ContrastiveViews(self.params.strength, (epoch,), kept={}) if self.params.strength else None
        pgd = PGD(self.params.steps, self.params.step_fraction * budget.radius, views=views)
        search(learner, pgd, data, protected, budget, ctx, self.params.precision)
