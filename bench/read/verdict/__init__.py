"""Does a protection hold? From records to one honest paragraph and a small table for the owner of the pictures."""

from bench.read.verdict.rules import Outcome
from bench.read.verdict.ruling import Verdict, verdict

__all__ = ["Outcome", "Verdict", "verdict"]
