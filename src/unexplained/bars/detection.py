"""How well a neuron tells the tokens of a label from others: AUROC, recall, and precision at a stated prevalence.

Precision depends on how many of a text's tokens the label says yes to, which no two texts share; so it
is given for a prevalence that is stated, by recall and false alarms: π r / (π r + (1 − π) a).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unexplained.intervals import of_estimate, unseen
from unexplained.ledger import Floats
from unexplained.record import Number
from unexplained.shares import told
from unexplained.stats import FEWEST_DOCUMENTS, SHARE, Settings, fraction, mean_per_token

AUROC = "AUROC"
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Labelled:
    """The tokens of a text under a label."""

    unit: NDArray[np.intp]
    """(token,) the document, or whatever is resampled, by its number."""
    yes: Bools
    """(token,) whether the label says yes."""
    units: int
    number: Floats | None = None
    """(token,) what the label says; None: yes and no."""

    @property
    def said(self) -> Floats:
        """(token,) what the label says, of yes and no 1 and 0."""
        return self.yes.astype(np.float64) if self.number is None else self.number

    def sums(self, values: NDArray[np.generic]) -> Floats:
        """Of every document."""
        weights = np.asarray(values, dtype=np.float64)
        return np.bincount(self.unit, weights, self.units).astype(np.float64)


@dataclass(frozen=True)
class Detector:
    """When a neuron counts as active, and what it is where the label says yes and no; all fitted elsewhere."""

    sign: int
    """−1 where it is lower where the label says yes."""
    threshold: float
    """Of sign times the activation: active above it."""
    mean: float
    on_yes: float
    """Its mean where the label says yes."""
    on_no: float
    base: float
    slope: float
    """The least squares line through activations over what the label says; of yes and no their two means."""

    @property
    def turned(self) -> str:
        """That it is read the other way round, if it is."""
        return "lower on the label" if self.sign < 0 else ""

    def predicted(self, said: Floats) -> Floats:
        """What the label predicts."""
        return self.base + self.slope * said

    def fires(self, values: Floats) -> Bools:
        """Where it is active."""
        return np.asarray(self.sign * values > self.threshold)


def fitted(values: Floats, text: Labelled, prevalence: float) -> Detector:
    """The threshold with the greatest F1 at a prevalence, and the means.

    Args:
        values: (token,) activations.
        text: What the label says; it says both yes and no.
        prevalence: Share of tokens that are the label's.
    """
    on_yes, on_no = float(values[text.yes].mean()), float(values[~text.yes].mean())
    sign = 1 if on_yes >= on_no else -1
    order = np.argsort(-sign * values, kind="stable")
    ordered, yes = sign * values[order], text.yes[order]
    recall = np.cumsum(yes) / yes.sum()
    alarms = np.cumsum(~yes) / (~yes).sum()
    found = prevalence * recall
    f1 = 2 * found / (found + (1 - prevalence) * alarms + prevalence)
    last = np.append(np.diff(ordered) != 0, True)  # a threshold lies between two values
    best = int(np.argmax(np.where(last, f1, -1.0)))
    below = ordered[best + 1] if best + 1 < ordered.size else ordered[best] - 1.0
    if constant(values):  # it is never active, not always
        below = ordered[best]
    said, mean = text.said, float(values.mean())
    spread = float(np.square(said - said.mean()).sum())
    slope = float((values - mean) @ (said - said.mean())) / spread if spread > 0 else 0.0
    base = mean - slope * float(said.mean())
    return Detector(sign, float((ordered[best] + below) / 2), mean, on_yes, on_no, base, slope)


def auroc(values: Floats, text: Labelled, settings: Settings) -> Number:
    """The chance that a token of the label has the greater value than one of the others; ties count half.

    Its interval is a jackknife over documents, whose pairs of tokens all go with a document.
    """
    if text.yes.all() or not text.yes.any():
        what = "every token" if text.yes.all() else "no token"
        return Number(value=None, unit=AUROC, refused=f"the label says yes to {what} here")
    if why := constant(values):
        return Number(value=None, unit=AUROC, refused=why)
    above = _pairs(values, text)
    yes, no = text.sums(text.yes), text.sums(~text.yes)
    whole, pairs = above.sum(), yes.sum() * no.sum()
    value = float(whole / pairs)
    documents = int(min(np.count_nonzero(yes), np.count_nonzero(no)))
    left = (yes.sum() - yes) * (no.sum() - no)
    if documents < FEWEST_DOCUMENTS or not left.all():
        why = f"too few documents have tokens of both kinds ({documents}; it takes {FEWEST_DOCUMENTS})"
        return Number(value=None, unit=AUROC, refused=why)
    without = (whole - above.sum(1) - above.sum(0) + above.diagonal()) / left
    low, high = of_estimate(value, value - without, yes + no, settings.level, documents=documents)
    if low == high:
        low, high = value - (off := unseen(documents, settings.level)), value + off
    return Number(value=value, low=max(low, 0.0), high=min(high, 1.0), unit=AUROC)


def constant(values: Floats) -> str:
    """Why what has one value alone tells nothing from anything; empty where it has several.

    >>> constant(np.array([0.0, 0.0])), constant(np.array([0.0, 1.0]))
    ('it is 0 at every token here', '')
    """
    same = values.size > 0 and bool((values == values[0]).all())
    return f"it is {float(values[0]) + 0.0:g} at every token here".replace("-", "−") if same else ""


def _pairs(values: Floats, text: Labelled) -> Floats:
    """(document, document) pairs of a token of the label in the one that is above another in the other."""
    here, mine = values[text.yes], text.unit[text.yes]
    found = np.zeros((text.units, text.units))
    for unit in range(text.units):
        others = np.sort(values[~text.yes & (text.unit == unit)])
        below = np.searchsorted(others, here, "left") + np.searchsorted(others, here, "right")
        found[:, unit] = np.bincount(mine, weights=below / 2, minlength=text.units)
    return found


def recall(fires: Bools, text: Labelled, settings: Settings) -> Number:
    """Share of the label's tokens on which the neuron is active."""
    return told(share(fires, text.yes, text, settings), int(np.count_nonzero(text.sums(text.yes))))


def alarms(fires: Bools, text: Labelled, settings: Settings) -> Number:
    """Share of the other tokens on which it is active."""
    return share(fires, ~text.yes, text, settings)


def share(what: Bools, among: Bools, text: Labelled, settings: Settings) -> Number:
    """Share of some tokens that are something."""
    total, tokens = text.sums(what & among), text.sums(among)
    if not tokens.any():
        return Number(value=None, unit=SHARE, refused="there are no such tokens here")
    return mean_per_token(total, tokens, settings=settings, unit=SHARE)


def precision(
    fires: Bools,
    text: Labelled,
    prevalence: float,
    settings: Settings,
    *,
    hits: tuple[Bools, Labelled] | None = None,
) -> Number:
    """Share of the tokens on which the neuron is active that are the label's, at a prevalence.

    Args:
        fires: (token,) where it is active.
        text: What the label says.
        prevalence: Share of tokens that are the label's.
        settings: Level.
        hits: Another text, and where the neuron is active there, whose recall is taken where too few
            documents of this one have any of the label's tokens.

    Its ends are those of recall and false alarms together, each at half of what the level leaves: at
    least as wide as asked.
    """
    half = Settings((1 + settings.level) / 2, settings.resamples, settings.seed)
    if hits is not None and np.count_nonzero(text.sums(text.yes)) < FEWEST_DOCUMENTS:
        hit = recall(*hits, half)
    else:
        hit = recall(fires, text, half)
    alarm = alarms(fires, text, half)
    for one in (hit, alarm):
        if one.value is None:
            return Number(value=None, unit=SHARE, refused=one.refused)
    assert hit.value is not None and alarm.value is not None
    if not hit.value and not alarm.value:
        return Number(value=None, unit=SHARE, refused="the neuron is never active here")
    value = _at(prevalence, hit.value, alarm.value)
    if hit.low is None or hit.high is None or alarm.low is None or alarm.high is None:
        return Number(value=value, unit=SHARE)
    low, high = _at(prevalence, hit.low, alarm.high), _at(prevalence, hit.high, alarm.low)
    return Number(value=value, low=min(low, value), high=max(high, value), unit=SHARE)


def _at(prevalence: float, hit: float, alarm: float) -> float:
    right = prevalence * hit
    wrong = (1 - prevalence) * alarm
    return right / (right + wrong) if right + wrong > 0 else 0.0


def within(values: Floats, detector: Detector, text: Labelled, settings: Settings) -> Number:
    """Share of the activation's variance that is among the label's own tokens, beside what it predicts."""
    squares = (values - detector.predicted(text.said)) ** 2 * text.yes
    return _of_variance(squares, values, detector, text, settings)


def explained(values: Floats, detector: Detector, text: Labelled, settings: Settings) -> Number:
    """Share of the activation's variance that what the label says accounts for, by a line fitted elsewhere."""
    gone = (values - detector.mean) ** 2 - (values - detector.predicted(text.said)) ** 2
    return _of_variance(gone, values, detector, text, settings)


def _of_variance(
    part: Floats, values: Floats, detector: Detector, text: Labelled, settings: Settings
) -> Number:
    whole = (values - detector.mean) ** 2
    tokens = np.bincount(text.unit, minlength=text.units).astype(np.float64)
    return fraction(
        text.sums(part), text.sums(whole), tokens, settings=settings,
        what="variance of the activation", unit="squares of it",
    )  # fmt: skip
