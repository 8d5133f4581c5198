"""The areas under a curve of recovery by size, as MIB's published code takes them.

Mueller et al. 2025 (arXiv:2504.13151), `evaluate_area_under_curve`: ten sizes; a circuit of a size
has int(size · edges) edges, rounded down, and may have none; across is the size asked for, not
the share that the rounded count comes to; trapezoids on a linear axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.integrate import trapezoid

from unexplained.errors import MeasurementError, require_count
from unexplained.record import Number

MIB_SIZES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares of all edges."""

SIZES = (0.0002, 0.0005, *MIB_SIZES)
"""The same and two smaller ones."""


def count_of(share: float, edges: int) -> int:
    """How many edges a circuit of a size has.

    Raises:
        MeasurementError: The size is no share, or there are no edges.

    >>> count_of(0.5, 123_211), count_of(0.001, 46)
    (61605, 0)
    """
    require_count("edges", edges, least=1)
    if not 0 <= share <= 1:
        raise MeasurementError(
            f"A circuit of {share:g} of the edges", "a size is a share of them", "Give 0 to 1."
        )
    return int(share * edges)


def counts_of(sizes: Sequence[float], edges: int) -> list[int]:
    """The different sizes in edges, from one edge on: of no edges it is known what they keep.

    Args:
        sizes: Shares of all edges, 0 to 1.
        edges: How many edges the graph has.
    """
    return sorted({max(1, count_of(share, edges)) for share in sizes})


def areas(kept: Mapping[int, Number], edges: int) -> tuple[float | None, float | None]:
    """MIB's CPR, ∫ kept, and CMD, ∫ |1 − kept|, from 0.1% to all edges.

    Neither has an interval. CPR rewards overshoot, and where every circuit short of the whole
    model keeps nothing it is 0.25, the last trapezoid.

    Args:
        kept: By number of edges. A circuit without edges keeps 0.
        edges: How many there are in all.

    Returns:
        Two areas, or two None where a size of MIB's was not measured or is refused.

    Raises:
        MeasurementError: There are no edges, or what a circuit keeps is no number.

    >>> by_count = {2: Number(value=0.5), 4: Number(value=1.0)}
    >>> [round(area, 6) for area in areas(by_count, 4)]  # 0 up to 20%, then 0.5, then all
    [0.45, 0.549]
    """
    points = {0: Number(value=0.0), **kept}
    found = [points.get(count_of(share, edges)) for share in MIB_SIZES]
    values = [one.value for one in found if one is not None and one.value is not None]
    if len(values) < len(MIB_SIZES):
        return None, None
    for count, value in zip((count_of(share, edges) for share in MIB_SIZES), values, strict=True):
        if not math.isfinite(value):
            raise MeasurementError(
                f"The areas under a curve of {edges} edges", f"{count} edges keep {value}",
                "Measure that size again.",
            )  # fmt: skip
    y = np.array(values)
    return float(trapezoid(y, MIB_SIZES)), float(trapezoid(np.abs(1 - y), MIB_SIZES))
