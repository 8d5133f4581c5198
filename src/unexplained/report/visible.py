"""Text that comes from documents, models and users, made visible before it is shown.

Escaping for HTML is jinja's work. What is left are characters that escape sequences, reordering
or plain invisibility are made of: they are replaced by signs that can be seen.
"""

from __future__ import annotations

import unicodedata

_REORDER = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SPACES = {"\n": "↵", "\r": "⇤", "\t": "→"}
EMPTY = "∅"
"""What is shown for a token without text."""


def prose(text: str) -> str:
    r"""A name, claim or domain: controls and reordering marks replaced, line breaks kept.

    >>> prose("plain\x1b[31m \u202etxt")
    'plain⟨U+001B⟩[31m ⟨U+202E⟩txt'
    """
    return "".join(c if c in "\n\t" else _sign(c, _REORDER) for c in text)


def line(text: str) -> str:
    """The same on one line, for a cell of a table."""
    return prose(" ".join(text.split()))


def token(text: str, *, spaces: bool = False) -> str:
    r"""A token's text, with everything invisible in it made visible.

    Args:
        text: The raw text.
        spaces: Show blanks as ␣ too.

    >>> token("\n\n"), token("\tif"), token(""), token(" a", spaces=True)
    ('↵↵', '→if', '∅', '␣a')
    """
    if not text:
        return EMPTY
    signs = {**_SPACES, " ": "␣"} if spaces else _SPACES
    return "".join(signs[c] if c in signs else _sign(c, None) for c in text)


def _sign(character: str, only: frozenset[str] | None) -> str:
    category = unicodedata.category(character)
    hidden = category in ("Cc", "Cs", "Zl", "Zp") or (
        character in only if only is not None else category == "Cf"
    )
    return f"⟨U+{ord(character):04X}⟩" if hidden else character
