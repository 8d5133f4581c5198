"""How often conditions are right on some of the tokens, beside the model and weaker models.

A prediction is right where the most probable next token is the text's own, and of a pair of prompts
where the answer is preferred. Ryan Greenblatt's bar is accuracy against a weaker model's: "GPT4 gets
50% … GPT3.5 gets 20%, if you could explain up to 40%".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from unexplained.bars.flips import corrected
from unexplained.bars.measures import measure_of
from unexplained.bars.paired import Paired, paired
from unexplained.bars.recovered import INTACT
from unexplained.estimators import Scatter, other_runs, p_values, scatter_of
from unexplained.ledger import ALL, Ledger
from unexplained.record import Number
from unexplained.shares import FEW, told, within
from unexplained.stats import (
    SHARE,
    Settings,
    difference_per_token,
    fraction,
    mean_per_token,
    too_few,
)

NO_RUNS: Mapping[str, Sequence[str]] = MappingProxyType({})
UNKNOWN = Scatter(0.0, 0)


@dataclass(frozen=True)
class Accuracies:
    """Of a ledger's conditions, on the tokens of one stratum."""

    ledger: Ledger
    settings: Settings
    stratum: tuple[str, str] = ALL
    pairs: bool = False
    """Whether the ledger is of pairs of prompts."""

    def of(self, condition: str) -> Number:
        """Share of the predictions that are right; refused of too few documents."""
        read = self._read(condition)
        share = mean_per_token(read.columns[0], read.tokens, settings=self.settings, unit=SHARE)
        return told(share, int(np.count_nonzero(read.tokens)))

    def of_intact(self, condition: str) -> Number:
        """Accuracy as a share of the intact model's."""
        read = self._read(condition, INTACT)
        mine, whole = read.columns
        share = fraction(
            mine, whole, read.tokens, what="the model's accuracy", unit=SHARE,
            settings=self.settings,
        )  # fmt: skip
        return within(share, least=0)

    def recovered(self, condition: str, ablation: str) -> Number:
        """(accuracy − the ablation's) / (the intact model's − the ablation's), by document."""
        return self._between(
            condition, ablation, what="accuracy above that of the mean ablation",
            if_negative="the ablated model is right more often, so there is nothing to keep",
        )  # fmt: skip

    def gap_score(self, condition: str, runs: Sequence[str], scatter: Scatter = UNKNOWN) -> Number:
        """The same from a weaker model's accuracy: 0 is right as often as that.

        Refused where other runs of it scatter by as much as the gap.

        Args:
            condition: What is asked.
            runs: The weaker model's; it is as often right as they are on average.
            scatter: Of runs that differ by their seed alone, in accuracy (`scatter`).
        """
        read = self._read(condition, INTACT, *runs)
        mine, whole, *columns = read.columns
        weak = np.mean(columns, axis=0)
        found = fraction(
            mine - weak, whole - weak, read.tokens, what=f"accuracy above '{runs[0]}'", unit=SHARE,
            settings=self.settings,
            if_negative="the weaker model is right more often, so there is no gap to keep",
        )  # fmt: skip
        if found.value is None or scatter.deviation is None:
            return found
        error = scatter.deviation / math.sqrt(len(runs))
        gap = difference_per_token(whole, weak, read.tokens, settings=self.settings, unit=SHARE)
        above = other_runs(gap, error, scatter.freedom, read.tokens, self.settings)
        if above.low is None or above.low <= 0:
            why = f"the gap to '{runs[0]}' is within what other runs of it scatter by"
            return Number(value=None, unit=SHARE, refused=why)
        error *= abs(1 - found.value) / float((whole - weak).sum() / read.tokens.sum())
        return other_runs(found, error, scatter.freedom, read.tokens, self.settings)

    def scatter(self, runs: Mapping[str, Sequence[str]]) -> Scatter:
        """How far runs that differ by their seed alone lie apart in accuracy, of all rungs together."""
        return self._rungs(list(runs), runs).scatter

    def not_better(self, condition: str, others: Sequence[str]) -> float | None:
        """p-value that a condition is not right more often than every one of some others.

        One-sided t tests by document; the greatest p, so that the claim holds for each of them
        (Berger's intersection of unions). None with too few documents, or no others.

        Args:
            condition: What is said not to be better.
            others: Than each of these conditions.
        """
        if not others:
            return None
        read = self._read(condition, *others)
        if too_few(read.tokens):
            return None
        mine, *columns = read.columns
        found = []
        for other in columns:
            p = float(p_values(mine - other, read.tokens, share=True))
            found.append(p / 2 if mine.sum() > other.sum() else 1 - p / 2)
        return max(found)

    def largest_rise(
        self, weaker: Sequence[str], runs: Mapping[str, Sequence[str]] = NO_RUNS
    ) -> tuple[Number, str]:
        """The largest rise between neighbours up to the model, as a share of the whole; and where.

        The largest of K rises is larger than it is on other documents, for it was chosen. Its
        interval is that of the largest, whichever it is: K intervals hold together with at least
        the level (Bonferroni), and then it lies between the greatest of the low ends and the
        greatest of the high ones; and it is no less than 1/K, which is the mean. Refused where the
        whole rise is not distinguishable from zero.

        Args:
            weaker: Conditions, the weakest model first.
            runs: All runs of those of which there are several: they are as often right as these are on average,
                and what other runs would have been is in the intervals.
        """
        if len(weaker) < 2:
            return Number(value=None, unit=SHARE, refused="it takes two weaker models"), ""
        return self._largest(self._rungs(weaker, runs), weaker)

    def _largest(self, ladder: _Rungs, weaker: Sequence[str]) -> tuple[Number, str]:
        steps = [self._step(ladder, i) for i in range(len(weaker))]
        lows = [step.low for step in steps if step.low is not None]
        highs = [step.high for step in steps if step.high is not None]
        if min(len(lows), len(highs)) < len(steps):
            few = Number(value=None, unit=SHARE, refused=FEW)
            return next((step for step in steps if step.value is None), few), ""
        at = int(ladder.rises.sum(1).argmax())
        number = Number(value=steps[at].value, low=max(lows), high=max(highs), unit=SHARE)
        names = [*weaker, "the model"]
        where = f"{names[at]} and {names[at + 1]}"
        if others := self._not_smaller(ladder, at):
            where += f", or one of {others} others" if others > 1 else ", or one other"
        return within(number, least=1 / len(steps)), where

    def _rungs(self, weaker: Sequence[str], runs: Mapping[str, Sequence[str]]) -> _Rungs:
        named = [tuple(runs.get(one) or (one,)) for one in weaker]
        read = self._read(*(name for some in named for name in some), INTACT)
        columns = iter(read.columns)
        each = [np.stack([next(columns) for _ in some]) for some in named]
        rates = [some.sum(1) / max(read.tokens.sum(), 1) for some in each]
        means = np.stack([*(some.mean(0) for some in each), next(columns)])
        return _Rungs(means, [len(some) for some in each], read.tokens, scatter_of(rates))

    def _step(self, ladder: _Rungs, at: int) -> Number:
        """A rise as a share of the whole, at a level at which all of them hold."""
        rises, whole = ladder.rises, ladder.means[-1] - ladder.means[0]
        each = corrected(self.settings, len(rises))
        step = fraction(
            rises[at], whole, ladder.tokens, unit=SHARE, settings=each,
            what="rise of accuracy along the ladder",
            if_negative="accuracy does not rise along the ladder",
        )  # fmt: skip
        if step.value is None:
            return step
        # What the share moves by as a rung's accuracy does.
        moves = np.zeros(len(rises) + 1)
        moves[at], moves[at + 1] = -1.0, 1.0
        moves[0] += step.value
        rate = float(whole.sum() / ladder.tokens.sum())
        return ladder.other(step, moves / rate, each)

    def _not_smaller(self, ladder: _Rungs, at: int) -> int:
        """How many other rises are not told to be smaller than the largest measured.

        Every pair counts (Bonferroni): any of the rises could have been the largest measured.
        """
        rises, count = ladder.rises, 0
        each = corrected(self.settings, math.comb(len(rises), 2))
        for i in range(len(rises)):
            if i == at:
                continue
            p = p_values(rises[at] - rises[i], ladder.tokens, share=True)
            moves = np.zeros(len(rises) + 1)
            for place, sign in ((at, 1.0), (i, -1.0)):
                moves[place] -= sign
                moves[place + 1] += sign
            apart = difference_per_token(
                rises[at], rises[i], ladder.tokens, settings=each, unit=SHARE
            )
            apart = ladder.other(apart, moves, each)
            told = p < 1 - each.level and apart.above_zero
            count += not told
        return count

    def _between(self, condition: str, low: str, *, what: str, if_negative: str) -> Number:
        read = self._read(condition, low, INTACT)
        mine, least, whole = read.columns
        return fraction(
            mine - least, whole - least, read.tokens, what=what, unit=SHARE,
            if_negative=if_negative, settings=self.settings,
        )  # fmt: skip

    def _read(self, *conditions: str) -> Paired:
        column = measure_of("accuracy", pairs=self.pairs).column
        return paired(self.ledger, column, conditions, self.stratum)


@dataclass(frozen=True)
class _Rungs:
    """How often the rungs are right by document, the weakest first and the model last."""

    means: np.ndarray
    """(rung and model, document): means over runs."""
    runs: Sequence[int]
    """Of every rung."""
    tokens: np.ndarray
    scatter: Scatter
    """Of runs that differ by their seed alone, in accuracy."""

    @property
    def rises(self) -> np.ndarray:
        return np.asarray(np.diff(self.means, axis=0))

    def other(self, number: Number, moves: np.ndarray, settings: Settings) -> Number:
        """A number for other runs of the rungs too, which moves so much with the accuracy of each; the model stays."""
        if self.scatter.deviation is None:
            return number
        error = self.scatter.deviation * math.sqrt(float((moves[:-1] ** 2 / self.runs).sum()))
        return other_runs(number, error, self.scatter.freedom, self.tokens, settings)
