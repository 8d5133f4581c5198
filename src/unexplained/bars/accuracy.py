"""How often conditions are right on some of the tokens, beside the model and weaker models.

A prediction is right where the most probable next token is the text's own, and of a pair of prompts
where the answer is preferred. Ryan Greenblatt's bar is accuracy against a weaker model's: "GPT4 gets
50% … GPT3.5 gets 20%, if you could explain up to 40%".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from unexplained.bars.measures import measure_of
from unexplained.bars.paired import Paired, paired
from unexplained.bars.recovered import INTACT
from unexplained.estimators import p_values
from unexplained.ledger import ALL, Ledger
from unexplained.record import Number
from unexplained.shares import FEW, told, within
from unexplained.stats import SHARE, Settings, fraction, mean_per_token, too_few


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

    def gap_score(self, condition: str, weak: str) -> Number:
        """The same from a weaker model's accuracy: 0 is right as often as that."""
        return self._between(
            condition, weak, what=f"accuracy above '{weak}'",
            if_negative="the weaker model is right more often, so there is no gap to keep",
        )  # fmt: skip

    def not_better(self, condition: str, others: Sequence[str]) -> float | None:
        """p-value that a condition is not right more often than every one of some others.

        One-sided t tests by document; the greatest p, so that the claim holds for each of them
        (Berger's intersection of unions). None with too few documents, or no others.
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

    def largest_rise(self, weaker: Sequence[str]) -> tuple[Number, str]:
        """The largest rise between neighbours up to the model, as a share of the whole; and where.

        The largest of K rises is larger than it is on other documents, for it was chosen. Its
        interval is that of the largest, whichever it is: K intervals hold together with at least
        the level (Bonferroni), and then it lies between the greatest of the low ends and the
        greatest of the high ones; and it is no less than 1/K, which is the mean. Refused where the
        whole rise is not distinguishable from zero.

        Args:
            weaker: Conditions, the weakest model first.
        """
        if len(weaker) < 2:
            return Number(value=None, unit=SHARE, refused="it takes two weaker models"), ""
        read = self._read(*weaker, INTACT)
        columns = np.stack(read.columns)
        rises = np.diff(columns, axis=0)
        each = replace(self.settings, level=1 - (1 - self.settings.level) / len(rises))
        steps = [
            fraction(
                rise, columns[-1] - columns[0], read.tokens, unit=SHARE, settings=each,
                what="rise of accuracy along the ladder",
                if_negative="accuracy does not rise along the ladder",
            )
            for rise in rises
        ]  # fmt: skip
        lows = [step.low for step in steps if step.low is not None]
        highs = [step.high for step in steps if step.high is not None]
        if min(len(lows), len(highs)) < len(steps):
            few = Number(value=None, unit=SHARE, refused=FEW)
            return next((step for step in steps if step.value is None), few), ""
        at = int(rises.sum(1).argmax())
        number = Number(value=steps[at].value, low=max(lows), high=max(highs), unit=SHARE)
        names = [*weaker, "the model"]
        where = f"{names[at]} and {names[at + 1]}"
        if others := _not_smaller(rises, at, read.tokens, 1 - self.settings.level):
            where += f", or one of {others} others" if others > 1 else ", or one other"
        return within(number, least=1 / len(rises)), where

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


def _not_smaller(rises: np.ndarray, at: int, tokens: np.ndarray, error: float) -> int:
    """How many other rises are not told to be smaller than the largest measured.

    Every pair counts (Bonferroni): any of the rises could have been the largest measured.
    """
    pairs = len(rises) * (len(rises) - 1) / 2
    others = np.delete(rises, at, axis=0)
    return int((p_values(rises[at] - others, tokens, share=True) * pairs >= error).sum())
