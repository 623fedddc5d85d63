"""What committed records become: the leaderboard page, and all of results/ made anew."""

from bench.report.leaderboard import write_leaderboard
from bench.report.rebuild import rebuild

__all__ = ["rebuild", "write_leaderboard"]
