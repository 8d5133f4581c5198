"""Hand-made records of sizes. Every number here is invented."""

from __future__ import annotations

from collections.abc import Sequence

from sample_rewrite import near
from sample_rows import HOSTILE_NAME, share
from unexplained.estimators import Scatter, Slope
from unexplained.instruments import sizes
from unexplained.instruments.sizes import Size
from unexplained.record import Number, Record
from unexplained.record.blocks import Row, facts


def size(i: int, recovered: Number) -> Size:
    """A size with a hundred times the compute of the one before."""
    name = f"rung-{i}" if i < 4 else HOSTILE_NAME
    return Size(name, 1e11 * 100.0**i, 4 * i, 12_000 + 100 * i, near(0.5 * i), recovered)


SIZES = tuple(
    size(i, share(value, value - 0.05, value + 0.07))
    for i, value in enumerate((0.52, 0.38, 0.32, 0.18), 1)
)
"""Four; the fractions fall by 0.05 for ten times the compute, but for what is added."""
NUMBER = Number(value=-0.054, low=-0.0712, high=-0.0364, unit="share per tenfold compute")


def slope(number: Number = NUMBER, scatter: float | None = None, *, bent: bool = False) -> Slope:
    """A slope, and how far runs of one size scatter, if there are several."""
    seeds = Scatter(0.0, 0) if scatter is None else Scatter(4 * scatter**2, 4)
    return Slope(number, seeds, 2, bent)


def sample_sizes(found: Sequence[Size] = SIZES, over: Slope | None = None) -> Record:
    """The whole record, as the instrument puts it together."""
    over = over or slope()
    return Record(
        instrument="sizes",
        title="The same budget of explanation, rung-1 to rung-4",
        verdict=sizes._verdict(over, found),
        subject="rung-4",
        subject_fingerprint="c0ffee",
        sheet={"Text webmix": "deadbeef"},
        blocks=(
            sizes._answer(found),
            facts("facts", Row(key="text", name="Text", cells=("webmix",))),
            sizes._over_sizes(
                found, over, [], "the best of mean and previous token for every head"
            ),
        ),
        resamples=2000,
        seed=0,
        command="unexplained sizes",
        versions={"unexplained": "0.1.0"},
        machine={"cores": "2"},
        measured="2026-11-26T12:00:00+00:00",
        seconds=12.0,
    )
