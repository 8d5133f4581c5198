"""Scaling curves: what compute a loss is worth. No torch.

`fit_curve` fits a ladder of trained models, `compute_of` places a loss on it, `share` gives the
compute explained, `leave_one_out` checks the ladder against itself. `CURVES` are those that others
published; `table` turns them into the fraction that has to be explained.

Args that functions here share:
    settings: Level and seed of intervals.
"""

from unexplained.curves.bend import Bend
from unexplained.curves.calculator import (
    BASELINES,
    FRACTIONS,
    GPT_4,
    GPT_35,
    Baseline,
    CalculatorRow,
    compute_left,
    fraction_needed,
    table,
)
from unexplained.curves.curve import Curve, Surface, bits_per_byte
from unexplained.curves.fit import FittedCurve, fit_curve
from unexplained.curves.place import (
    FLOPS,
    PlacedLoss,
    Predicted,
    Share,
    compute_of,
    loss_at,
    share,
)
from unexplained.curves.points import TrainedPoint
from unexplained.curves.published import CEREBRAS_POINTS, CURVES, PF_DAY, SURFACES, published
from unexplained.curves.rungs import LeftOut, leave_one_out
from unexplained.curves.shift import Shift
from unexplained.curves.surface import fit_surface

__all__ = [
    "BASELINES",
    "CEREBRAS_POINTS",
    "CURVES",
    "FLOPS",
    "FRACTIONS",
    "GPT_4",
    "GPT_35",
    "PF_DAY",
    "SURFACES",
    "Baseline",
    "Bend",
    "CalculatorRow",
    "Curve",
    "FittedCurve",
    "LeftOut",
    "PlacedLoss",
    "Predicted",
    "Share",
    "Shift",
    "Surface",
    "TrainedPoint",
    "bits_per_byte",
    "compute_left",
    "compute_of",
    "fit_curve",
    "fit_surface",
    "fraction_needed",
    "leave_one_out",
    "loss_at",
    "published",
    "share",
    "table",
]
