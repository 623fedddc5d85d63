"""What people read: tables, plots, the leaderboard."""
