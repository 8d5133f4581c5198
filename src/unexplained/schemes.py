"""Names with a prefix, such as `testbed:strict_induction`: what lies above says what they stand for.

Models, texts and explanations are asked for by name in rooms that lie below the one that has these.
So the room is named here and imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from types import ModuleType

HOMES = {"testbed": "unexplained.testbeds.testbed"}
"""Prefix → the module with `open_model`, `open_text`, `has_pairs` and `truth_of`."""


def home_of_name(name: str) -> tuple[ModuleType, str] | None:
    """The module that knows a name, and the name without its prefix; None for a plain name.

    >>> home_of_name("smollm2-135m") is None
    True
    """
    prefix, colon, rest = name.partition(":")
    if not colon or prefix not in HOMES:
        return None
    return importlib.import_module(HOMES[prefix]), rest
