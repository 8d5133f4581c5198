"""`sizes`: is explaining easier or harder with size? The same budget over a ladder's rungs.

Ryan Greenblatt: "I'm skeptical things will be easier with bigger models instead of harder". The
budget is the same rules for every head of every rung, chosen head by head on the fit part; what it
recovers of the mean ablation of all heads is read off for every size, with the slope over the
logarithm of training compute. Runs of one size that differ by their seed alone differ in it by
much: a slope from one run of each is no answer, whatever its interval over documents. Nor is one from
some of the runs that there are: two of a size that came out alike make seeds look harmless, and
among the shipped rungs there are such that say "easier" and such that say "harder".
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from unexplained.bars import damage, recovered
from unexplained.bars.paired import paired
from unexplained.errors import MeasurementError, require_once
from unexplained.estimators import Scatter, Slope, laid_out, slope_over
from unexplained.evaluate import distinct, evaluate, joint
from unexplained.explanations import Explanation
from unexplained.intervals import apart, of_estimate
from unexplained.ladder.catalogue import catalogue
from unexplained.ladder.conditions import require_same_tokens, require_unseen_by
from unexplained.ledger import ALL, Ledger
from unexplained.progress import Progress
from unexplained.record import Number
from unexplained.record.rewrite import SizePoint, SizesRecord
from unexplained.stats import Settings, written
from unexplained.study.choosing import NONE, choose, require_choosing, rules
from unexplained.study.provenance import found_again
from unexplained.study.run import Run
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
    say: Progress = lambda what, done, total: None,
) -> SizesRecord:
    """Explain every head of every rung under the same rules, and compare what is recovered.

    Args:
        rungs: Models that share a tokenizer, with their training compute (FLOPs). Those of the same
            compute are runs of one size that differ by their seed: give several where there are.
        text: Where to measure; made with any of their tokenizers.
        explanations: The budget: what may be put in a head's place.
        settings: Level, resamples and seed. Documents are resampled together in all rungs.
        folder: Where finished batches are kept and found again.
        say: Told about progress.

    Raises:
        MeasurementError: There are fewer than three sizes, two models share a name or are one, a
            compute is not positive and finite, or a loss is not finite.
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
    _require_apart(list(rungs))
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
        run = Run(subject, (text,), settings, folder, say=_named(say, subject.name))
        chosen = choose(run, where, budget)
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
    last, left = ordered[-1][0], catalogue().left_out([one.name for one in rungs])
    return SizesRecord(
        title=f"The same budget of explanation, {points[0].rung} to {points[-1].rung}",
        verdict=_verdict(slope, points, left),
        text=text.name,
        text_fingerprint=text.fingerprint,
        documents=len(text.eval),
        tokens=text.predicted,
        budget=f"for every head the best of: {NONE}; " + "; ".join(one.name for one in budget),
        points=tuple(points),
        slope=slope.number,
        scatter=slope.seeds.deviation,
        bent=slope.bent,
        left_out=tuple(left),
        **found_again(last, settings, started),
    )


def _require_apart(models: Sequence[Subject]) -> None:
    """Refuse one model under two names: it would pass for two runs that came out alike."""
    known: dict[str, Subject] = {}
    for one in models:
        other = known.setdefault(one.fingerprint, one)
        if other is not one:
            raise MeasurementError(
                f"{other.name} and {one.name}", "they are one model", "Give every run once."
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


def _named(say: Progress, name: str) -> Progress:
    return lambda what, done, total: say(f"{name}: {what}", done, total)


def slope_of(
    ledgers: Sequence[tuple[Ledger, str, str]], compute: Sequence[float], settings: Settings
) -> Slope:
    """Least-squares slope of the fraction recovered over log10 of compute.

    Each ledger with its explained and its ablated condition: the same one where no rule is better
    than the mean for any head, and then nothing is recovered there.

    The interval is a jackknife of documents, the same ones in every run, with the tails counted that
    they and what is divided by show, and adds the scatter of runs (`estimators.slope_over`).
    Refused where the fraction of a run is.
    """
    columns, tokens = [], None
    for ledger, *names in ledgers:
        share = recovered(ledger, names[0], names[1], settings=settings)
        if share.value is None or share.low is None:
            return _none(f"the fraction of a run is: {share.refused or 'too few documents'}")
        read = paired(ledger, "loss", (*names, "intact"), ALL)
        explained, ablated, whole = read.columns
        columns += [ablated - explained, ablated - whole]
        tokens = read.tokens
    assert tokens is not None
    some = tokens > 0
    top, bottom = np.stack(columns[0::2])[:, some], np.stack(columns[1::2])[:, some]
    values = top.sum(1) / bottom.sum(1)

    def spread(weights: np.ndarray) -> np.ndarray:
        ends = _over_documents(weights, values, top, bottom, tokens[some], settings.level)
        return laid_out(float(weights @ values), *ends, tokens, level=settings.level)

    return slope_over(
        np.log10(np.asarray(compute)), values, spread, tokens, settings=settings, unit=SLOPE
    )


def _over_documents(
    weights: np.ndarray,
    values: np.ndarray,
    top: np.ndarray,
    bottom: np.ndarray,
    tokens: np.ndarray,
    level: float,
) -> tuple[float, float]:
    """Ends, over documents alone, of a weighted sum of ratios of sums of (run, document)."""
    value = float(weights @ values)
    rest = bottom.sum(1, keepdims=True) - bottom
    if (rest <= 0).any():  # one document is all that some run has to recover
        return -math.inf, math.inf
    falls = value - weights @ ((top.sum(1, keepdims=True) - top) / rest)
    longer = math.exp(
        np.average([math.log(apart(one, tokens)) for one in bottom], weights=np.abs(weights))
    )
    return of_estimate(value, longer * falls, tokens, level)


def _none(why: str) -> Slope:
    return Slope(Number(value=None, unit=SLOPE, refused=why), Scatter(0.0, 0), 0, bent=False)


def _verdict(slope: Slope, points: Sequence[SizePoint], left: Sequence[str] = ()) -> str:
    number, scatter = slope.number, slope.seeds.deviation
    if number.value is None:
        return f"The slope over sizes is refused: {number.refused}."
    said = (
        f"Under the same rules the fraction recovered changes by {written(number, spec='+.3f')} for "
        "ten times the compute"
    )
    if scatter is None:
        return (
            f"{said}, with one run of each size: how much another seed would move it is not known, "
            "so it does not say whether explaining is easier or harder with size."
        )
    if left:
        return (
            f"{said}, with some of the runs of these sizes left out ({', '.join(left)}): they may say "
            "the opposite, so it does not say whether explaining is easier or harder with size."
        )
    sizes = len({point.compute for point in points})
    said += (
        f", other documents and other seeds counted ({len(points)} runs of {sizes} sizes; runs of "
        f"one size scatter by {scatter:.3f})"
    )
    if number.high is not None and number.high < 0:
        return f"{said}: harder with size, as far as this text and these runs can tell."
    if number.low is not None and number.low > 0:
        return f"{said}: easier with size, as far as this text and these runs can tell."
    return f"{said}: whether it is easier or harder with size is not told."
