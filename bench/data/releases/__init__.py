"""Protected sets as people hand them on: what their files hold, which clean image each belongs to, what was spent."""

from bench.data.releases.bringing import Brought, bring

__all__ = ["Brought", "bring"]
