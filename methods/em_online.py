"""Error-minimising noise that is made anew for each batch that its network learns from.

Fu et al., "Robust Unlearnable Examples: Protecting Data Privacy Against Adversarial Learning", ICLR 2022.
"""

from bench.api import METHODS
from methods._stepwise import Stepwise, StepwiseParams


@METHODS.register("em-online")
class EMOnline(Stepwise[StepwiseParams]):
    """The error-minimising noise that its successors compare with, by batches instead of rounds.

    For each batch the noise is made anew, by signed steps from a random start that lower the loss of the images as they
    are; the network then takes one step on a random crop and flip of them. At the end the noise of every image is made
    once more. Numbers of EM in tables of REM and CUDA come from it. The released script leaves out of that last search
    the images that do not fill a batch; here all images have part in it.
    """

    cite = "fu2022robust"
