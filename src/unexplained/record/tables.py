"""What n-gram tables were counted on, in words: apart from the data, so that no wording voids a measurement."""

from __future__ import annotations

from collections.abc import Sequence

from unexplained.record.counts import Counted


def counted(known: Sequence[Counted]) -> str:
    """What n-gram tables were counted on, how they are smoothed, and how the other way would do.

    Empty where there are none, as in older records.
    """
    if not known:
        return ""
    said = f"N-gram tables: {known[0].extent}."
    if not any(one.held_out for one in known):
        ways = ", ".join(f"{one.name} {one.smoothing}" for one in known)
        return f"{said} Smoothing, with too few documents to choose it by: {ways}."
    ways = ", ".join(
        f"{one.name} {one.smoothing} {one.held_out[one.smoothing]:.3f}"
        + "".join(
            f" ({name} {loss:.3f})" for name, loss in one.held_out.items() if name != one.smoothing
        )
        for one in known
        if one.held_out
    )
    return f"{said} Smoothing, the better on held-out documents of it (nats per token): {ways}."
