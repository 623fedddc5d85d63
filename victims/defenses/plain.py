"""No defense: the recipe as it is, with its crop and flip."""

from bench.api import DEFENSES, Defense


@DEFENSES.register("plain")
class Plain(Defense):
    """The recipe as it is: random crop and flip where it has them."""

    words = "plain training"
