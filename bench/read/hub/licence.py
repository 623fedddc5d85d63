"""What a person fills in of a data card: its licence, which is no work of ours and outlasts the rest of the card."""

import re

_SECTION = re.compile(r"^## Licence\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_FIELDS = re.compile(r"^license.*\n(?:[ \t-].*\n)*", re.MULTILINE)  # license_name and license_link as well


def without_licence(card: str) -> str:
    """Return a card without the licence in its YAML and in its text: what sepbench alone writes."""
    head, text = _parted(card)
    return _FIELDS.sub("", head) + _SECTION.sub("", text)


def with_licence_of(theirs: str, card: str) -> str:
    """Return a card with the licence that another one says."""
    (head, text), (their_head, their_text) = _parted(card), _parted(theirs)
    fields, section = "".join(_FIELDS.findall(their_head)), _SECTION.search(their_text)
    if fields:
        head = _FIELDS.sub(lambda ours: fields, head, count=1)
    return head + (_SECTION.sub(lambda ours: section[0], text) if section else text)


def _parted(card: str) -> tuple[str, str]:
    """Return the YAML that a card begins with, and all that follows."""
    end = card.find("\n---\n", 4)
    return (card[: end + 1], card[end + 1 :]) if card.startswith("---\n") and end >= 0 else ("", card)
