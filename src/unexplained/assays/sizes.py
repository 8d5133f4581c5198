"""`sizes`: is explaining easier or harder with size? The same budget over a ladder's rungs.

Ryan Greenblatt: "I'm skeptical things will be easier with bigger models instead of harder". The
budget is the same rules for every head of every rung, chosen head by head on the fit part; what it
recovers of the mean ablation of all heads is read off for every size, with the slope over the
logarithm of training compute.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from unexplained.assays.provenance import found_again
from unexplained.assays.rewrite import NONE, Say, choose, require_choosing, rules
from unexplained.bars import damage, recovered
from unexplained.bars.paired import paired
from unexplained.errors import MeasurementError, require_once
from unexplained.evaluate import distinct, evaluate, joint
from unexplained.explanations import Explanation
from unexplained.ladder.conditions import require_same_tokens, require_unseen_by
from unexplained.ledger import ALL, Ledger
from unexplained.record import Number
from unexplained.record.rewrite import SizePoint, SizesRecord
from unexplained.stats import Settings, ends, resampled, written
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text

ALL_EXPLAINED, ALL_ABLATED = "all heads explained", "all heads ablated"
SLOPE = "share per tenfold compute"
FEWEST = 3
HEADS = "L*.H*"


@neutrally
def sizes(
    rungs: Mapping[Subject, float],
    text: Text,
    *,
    explanations: Sequence[Explanation] | None = None,
    settings: Settings = Settings(),  # noqa: B008  (frozen)
    folder: Path | None = None,
    say: Say = lambda what, done, total: None,
) -> SizesRecord:
    """Explain every head of every rung under the same rules, and compare what is recovered.

    Args:
        rungs: Models that share a tokenizer, with their training compute (FLOPs).
        text: Where to measure; made with any of their tokenizers.
        explanations: The budget: what may be put in a head's place.
        settings: Level, resamples and seed. Documents are resampled together in all rungs.
        folder: Where finished batches are kept and found again.
        say: Told about progress.

    Raises:
        MeasurementError: There are fewer than three rungs, two share a name, a compute is not
            positive and finite, or a loss is not finite.
        UnexplainedError: As in `require_choosing`, of any rung, before anything is run.
    """
    started = time.perf_counter()
    for subject, compute in rungs.items():
        if not 0 < compute < math.inf:
            raise MeasurementError(
                f"The training compute of {subject.name}",
                f"{compute:g} is not positive and finite",
                "Give FLOPs: about 6 times parameters times tokens.",
            )
    require_once("model", [subject.name for subject in rungs])
    require_computes(list(rungs.values()))
    budget = tuple(rules() if explanations is None else explanations)
    ordered = sorted(rungs.items(), key=lambda item: item[1])
    for subject, _ in ordered:
        require_choosing(subject, text, HEADS, budget, folder)
        require_same_tokens(ordered[0][0], subject)
        require_unseen_by(subject, text)
    points, ledgers = [], []
    for subject, compute in ordered:
        where = subject.sites(HEADS)
        chosen = choose(subject, text, where, explanations=budget, seed=settings.seed,
                        folder=folder, say=_named(say, subject.name))  # fmt: skip
        conditions, measured = distinct([
            joint(ALL_EXPLAINED, list(chosen.explained.values())),
            joint(ALL_ABLATED, list(chosen.ablated.values())),
        ])  # fmt: skip
        ledger = evaluate(subject, text, conditions, folder=folder)
        explained, ablated = measured[ALL_EXPLAINED], measured[ALL_ABLATED]
        ledgers.append((ledger, explained, ablated))
        points.append(
            SizePoint(
                rung=subject.name,
                compute=compute,
                components=len(where),
                bits=chosen.bits,
                damage=damage(ledger, ablated, settings=settings),
                recovered=recovered(ledger, explained, ablated, settings=settings),
            )
        )
    slope = slope_of(ledgers, [point.compute for point in points], settings)
    last = ordered[-1][0]
    return SizesRecord(
        title=f"The same budget of explanation, {points[0].rung} to {points[-1].rung}",
        verdict=_verdict(slope, points),
        text=text.name,
        text_fingerprint=text.fingerprint,
        documents=len(text.eval),
        tokens=text.predicted,
        budget=f"for every head the best of: {NONE}; " + "; ".join(one.name for one in budget),
        points=tuple(points),
        slope=slope,
        **found_again(last, settings, started),
    )


def require_computes(computes: Sequence[float]) -> None:
    """Refuse too few sizes for a slope.

    Raises:
        MeasurementError: There are fewer than three different ones.
    """
    different = len(set(computes))
    if different < FEWEST:
        raise MeasurementError(
            f"A slope over {different} sizes", f"it takes {FEWEST}", "Give more rungs."
        )


def _named(say: Say, name: str) -> Say:
    return lambda what, done, total: say(f"{name}: {what}", done, total)


def slope_of(
    ledgers: Sequence[tuple[Ledger, str, str]], compute: Sequence[float], settings: Settings
) -> Number:
    """Least-squares slope of the fraction recovered over log10 of compute.

    Each ledger with its explained and its ablated condition: the same one where no rule is better
    than the mean for any head, and then nothing is recovered there.

    The interval resamples documents, the same ones in every rung; it knows nothing of how another
    training run of the same rungs would have come out.
    """
    columns, tokens = [], None
    for ledger, *names in ledgers:
        read = paired(ledger, "loss", (*names, "intact"), ALL)
        explained, ablated, whole = read.columns
        columns += [ablated - explained, ablated - whole]
        tokens = read.tokens
    assert tokens is not None
    sums = np.stack([column.sum() for column in columns])
    x = np.log10(np.asarray(compute))
    if (sums[1::2] <= 0).any():
        return Number(value=None, unit=SLOPE, refused="ablating all heads costs nothing in a rung")
    value = _slope(x, (sums[0::2] / sums[1::2])[:, None])[0]
    drawn = resampled(settings, *columns)
    fractions = np.full((len(x), drawn.shape[1]), np.nan)
    np.divide(drawn[0::2], drawn[1::2], out=fractions, where=drawn[1::2] > 0)
    slopes = _slope(x, fractions)
    low, high = ends(slopes[np.isfinite(slopes)], value, tokens, settings.level)
    return Number(value=float(value), low=low, high=high, unit=SLOPE)


def _slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least-squares slope of every column of y (rung, resample)."""
    centred = x - x.mean()
    found: np.ndarray = centred @ y / (centred @ centred)
    return found


def _verdict(slope: Number, points: Sequence[SizePoint]) -> str:
    if slope.value is None or slope.low is None or slope.high is None:
        return f"No slope: {slope.refused or 'too few documents for an interval'}."
    way = (
        "harder with size" if slope.high < 0 else "easier with size" if slope.low > 0 else "neither"
    )
    first, last = points[0].recovered.value, points[-1].recovered.value
    span = ""
    if first is not None and last is not None:
        span = f" ({first:.0%} at the least, {last:.0%} at the most compute)"
    return (
        f"Under the same rules the fraction recovered changes by {written(slope, spec='+.3f')} for "
        f"ten times the compute{span}: {way}, as far as this text and these runs can tell."
    )
