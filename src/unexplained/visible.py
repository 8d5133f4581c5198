"""Text that comes from documents, models and users, made visible before it is shown.

Escaping for HTML is jinja's work. What is left are characters that escape sequences, reordering
or plain invisibility are made of: they are replaced by signs that can be seen.
"""

from __future__ import annotations

import unicodedata

_SPACES = {"\n": "↵", "\r": "⇤", "\t": "→"}
EMPTY = "∅"
"""What is shown for a token without text."""


def prose(text: str) -> str:
    r"""A name, claim or domain: controls and marks without width replaced, line breaks kept.

    >>> prose("plain\x1b[31m \u202etxt")
    'plain⟨U+001B⟩[31m ⟨U+202E⟩txt'
    """
    return "".join(c if c in "\n\t" else _sign(c) for c in text)


def name(text: object) -> str:
    r"""A path or the name of something, on one line and with every blank in it.

    >>> name("a\nReport:\tb")
    'a↵Report:→b'
    """
    return "".join(_SPACES[c] if c in _SPACES else _sign(c) for c in str(text))


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
    return "".join(signs[c] if c in signs else _sign(c) for c in text)


def _sign(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return f"⟨U+{ord(character):04X}⟩" if hidden else character
