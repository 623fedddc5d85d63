"""What committed records become: the leaderboard page."""

from bench.read.leaderboard.write import write_leaderboard

__all__ = ["write_leaderboard"]
