"""The leaderboard: one page on committed records."""

from bench.report.leaderboard import write_leaderboard

__all__ = ["write_leaderboard"]
