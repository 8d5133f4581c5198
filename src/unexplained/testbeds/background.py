"""The heads that every planted model has besides the planted one."""

from __future__ import annotations

from collections.abc import Mapping

from unexplained.sites import Site
from unexplained.testbeds.vocabulary import VOCABULARY
from unexplained.testbeds.weights import Head, at_distance, match, move_all

PLANTED_AT = Site(1, "H", 0)
"""Where the planted head stands in every model."""

PREVIOUS_TOKEN_AT = Site(0, "H", 0)
DISTRACTOR_AT = Site(1, "H", 1)

BACKGROUND: Mapping[Site, Head] = {
    PREVIOUS_TOKEN_AT: at_distance(1, see_bos=True) + move_all("token", "previous"),
    DISTRACTOR_AT: match("token", range(len(VOCABULARY))) + move_all("previous", "aside"),
}

NOTES: Mapping[Site, str] = {
    PREVIOUS_TOKEN_AT: (
        "Attends to the previous position by distance alone (position 0 to itself) and writes "
        "its token to the block `previous`. Load-bearing wherever the planted head matches tokens."
    ),
    DISTRACTOR_AT: (
        "Attends evenly to every occurrence of the current token, itself included, and writes "
        "the mean of what preceded them to a block that nothing reads: busy, and worth nothing."
    ),
}
