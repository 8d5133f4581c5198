"""What circuits keep of a behaviour, and the curve of it by size.

From logit differences (of the answer less the wrong one) of pairs of prompts: of the clean ones,
of the corrupted ones, and of the clean ones where the edges outside a circuit carry the corrupted
prompt's values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from unexplained.bars.areas import areas
from unexplained.bars.measures import measure_of
from unexplained.bars.paired import paired
from unexplained.bars.recovered import INTACT
from unexplained.ledger import ALL, Ledger
from unexplained.record import Number
from unexplained.record.bars import KeptAt, KeptCurve
from unexplained.stats import Settings, fraction, mean_per_token

CORRUPTED = "corrupted prompts"
"""The intact model on them, as a condition beside its circuits."""

_MEASURE = measure_of("logit difference", pairs=True)
UNIT, FLOOR = _MEASURE.unit, _MEASURE.floor


def logit_difference(
    ledger: Ledger, condition: str = INTACT, *, less: str | None = None, settings: Settings
) -> Number:
    """Mean logit difference of pairs (logits per pair), less another condition's if wanted.

    Args:
        ledger: The losses, by condition, document and stratum, as `evaluate` gives them.
        condition: The name of the condition that is read (an explanation, say).
        less: Another condition, whose difference is taken away.
        settings: Level and seed of intervals.
    """
    read = paired(ledger, "logit_difference", (condition, *([less] if less else [])), ALL)
    sums = read.columns[0] - read.columns[1] if less else read.columns[0]
    return mean_per_token(sums, read.tokens, settings=settings, unit=UNIT)


def kept_by_size(
    ledger: Ledger,
    circuits: Mapping[int, Sequence[str]],
    edges: int,
    *,
    keeps: float,
    settings: Settings,
) -> KeptCurve:
    """The curve of one order of all edges.

    Args:
        ledger: With the intact model, `CORRUPTED` and the circuits.
        circuits: By number of edges the conditions: several where the order was drawn several times,
            whose logit differences are averaged.
        edges: How many there are in all.
        keeps: The share that the knee is about.
        settings: Level, resamples and seed.

    Raises:
        MeasurementError: A condition was not measured.
    """
    points = tuple(
        _kept(ledger, names, count, edges, settings) for count, names in circuits.items()
    )
    area, distance = areas({point.edges: point.kept for point in points}, edges)
    return KeptCurve(
        edges=edges,
        points=points,
        area=area,
        distance=distance,
        knee=knee([(point.edges, point.kept.low) for point in points], edges, keeps),
        knee_by_value=knee([(point.edges, point.kept.value) for point in points], edges, keeps),
    )


def _kept(
    ledger: Ledger, names: Sequence[str], count: int, edges: int, settings: Settings
) -> KeptAt:
    """What circuits of one size keep: exactly all of all edges, and nothing of none.

    Where every orbit's logit difference is that of the corrupted prompts to the last bit, no path of the circuit
    reaches the end: nothing is there by construction, whatever other pairs would be.
    """
    read = paired(ledger, "logit_difference", (INTACT, CORRUPTED, *names), ALL)
    clean, corrupted, *draws = read.columns
    sums = np.mean(draws, axis=0)
    for end in (clean, corrupted):
        # What differs from an end by rounding alone is that end, and is shown as it.
        sums = np.where(np.abs(sums - end) < FLOOR * read.tokens, end, sums)
    kept = fraction(
        sums - corrupted, clean - corrupted, read.tokens,
        what="logit difference of the clean less that of the corrupted prompts", settings=settings, unit=UNIT,
        floor=FLOOR, exact=count in (0, edges) or np.array_equal(sums, corrupted),
    )  # fmt: skip
    mean = mean_per_token(sums, read.tokens, settings=settings, unit=UNIT)
    return KeptAt(edges=count, share=count / edges, logit_difference=mean, kept=kept)


def knee(kept: Sequence[tuple[int, float | None]], edges: int, keeps: float) -> int | None:
    """The smallest measured circuit that keeps enough, as does every larger one.

    A smaller one that does so by chance, with larger ones that do not, is none: sizes are gone
    through from the largest down until one falls short. Tests in an order that is set beforehand
    need no correction for their number (Maurer, Hothorn and Lehmacher 1995).

    >>> knee([(1, 0.9), (2, 0.7), (4, 0.85), (8, 0.9), (16, 1.0)], 16, 0.8)
    4
    """
    found = None
    for count, share in sorted(kept, reverse=True):
        if count >= edges:
            continue
        if share is None or share < keeps:
            break
        found = count
    return found
