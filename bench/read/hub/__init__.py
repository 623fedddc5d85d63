"""Protected sets as they are handed on: the layout of the Hugging Face Hub, with a data card."""

from bench.read.hub.ready_sets import CARD, hand_on, upload_command

__all__ = ["CARD", "hand_on", "upload_command"]
