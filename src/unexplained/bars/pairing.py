"""The change of a number between two records, paired by document, from the ledgers that both kept. No torch.

A record does not say how its numbers were made, and need not: what is a mean, a difference or a share of
sums of its ledger is found there again. A number is paired only where one such form gives it in both
records, value and interval, from the same documents. Where several do that say different things of the
documents, or none does (it holds other runs, other levels, several texts), it is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unexplained.bars.recovered import INTACT
from unexplained.intervals import left_out, of_estimate
from unexplained.ledger import Ledger
from unexplained.record import Number, Record
from unexplained.record.difference import between
from unexplained.settings import Settings
from unexplained.stats import SHARE, difference_per_token, fraction, mean_per_token

COLUMNS = ("loss", "logit_difference", "kl", "agree", "correct", "preferred", "error")
COMPARED = ("loss", "logit_difference", "correct", "preferred")
"""Columns of which two conditions are compared."""
PARTS = ("agree", "correct", "preferred")
"""Columns that count some of the tokens."""
SHARED = ("loss", "logit_difference", "error")
"""Columns of which a change is taken as a share of another."""
MANY = 120
"""Of more conditions no two are compared but with the intact model."""
TELLING = 100
"""Counts below this could be those of something else that was counted."""
FEW = 8
"""Forms of one column that are tried for a number."""
ALIKE = 1e-9
"""Numbers that are apart by less than this, relative to their size, are one."""


class RatioForm(NamedTuple):
    """A ratio of sums: (top − less) / tokens, or / (base − whole) where there is a base."""

    column: str
    stratum: tuple[str, str]
    top: str
    less: str = ""
    base: str = ""
    whole: str = ""


@dataclass(frozen=True)
class RatioTerms:
    """What a form is the ratio of, by document."""

    form: RatioForm
    top: np.ndarray
    bottom: np.ndarray
    tokens: np.ndarray

    @cached_property
    def falls(self) -> np.ndarray:
        """By how much the ratio falls as each document is left out."""
        return left_out(self.top, self.bottom)

    def gives(self, number: Number, settings: Settings) -> bool:
        """Whether it is this number, value and interval; ends may have been moved to a bound."""
        if self.form.base:
            again = fraction(self.top, self.bottom, self.tokens, what="it", settings=settings)
        else:
            sums = (self.top, np.zeros_like(self.top)) if self.form.less else (self.top,)
            ratio: Any = difference_per_token if self.form.less else mean_per_token
            again = ratio(*sums, self.tokens, settings=settings, unit=number.unit)
        if again.low is None or again.high is None or number.low is None or number.high is None:
            return False
        off = ALIKE * max(abs(number.value or 0.0), number.high - number.low)
        low = abs(again.low - number.low) <= off or again.low < number.low in (0.0, -1.0)
        high = abs(again.high - number.high) <= off or again.high > number.high in (0.0, 1.0)
        return low and high


@dataclass(frozen=True, eq=False)
class Sheet:
    """The sums of one model on one text, and all numbers that are plain ratios of them."""

    ledger: Ledger
    wholes: tuple[str, ...] = (INTACT,)
    """Conditions that stand for everything: the intact model, also on corrupted prompts."""

    @cache  # noqa: B019  (as long as the sheet)
    def sums(self, column: str, stratum: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
        """Of all conditions (condition, document): sums, and tokens; documents sorted."""
        found = [self.ledger.sums(name, stratum) for name in self.ledger.conditions]
        order = np.argsort(np.array(self.ledger.documents))
        sums, tokens = (
            np.stack([getattr(one, name) for one in found])[:, order] for name in (column, "tokens")
        )
        return sums, tokens

    @cache  # noqa: B019
    def _values(
        self, column: str, stratum: tuple[str, str]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The values of all forms of a column, sorted, and what each is of: four places among conditions."""
        sums, tokens = self.sums(column, stratum)
        total, count = sums.sum(1), tokens.sum(1).astype(float)
        every = np.arange(total.size)
        wholes = np.array([i for i in every if self.ledger.conditions[i] in self.wholes], dtype=int)
        others = every if every.size <= MANY else wholes
        known = np.append(total, 0.0)  # at -1: nothing
        made = [np.stack([every, *[np.full_like(every, -1)] * 3])]
        if column in COMPARED:
            made.append(_all(every, others, [-1], [-1]))
        if column in SHARED:
            base, whole = others, wholes if column in COMPARED else [-1]
            top, _, j, k = _all(every, [-1], base, whole)
            made += [np.stack([j, top, j, k]), np.stack([top, k, j, k])]
        top, less, base, whole = forms = np.concatenate(made, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            bottom = np.where(base < 0, count[top], known[base] - known[whole])
            values = (known[top] - known[less]) / bottom
        values[~np.isfinite(values)] = np.nan  # sorted to the end, near nothing
        order = np.argsort(values)
        return values[order], order, forms

    def near(self, value: float) -> Iterator[RatioForm]:
        """Forms that give this value."""
        names, off = (*self.ledger.conditions, ""), ALIKE * abs(value)
        for column in COLUMNS:
            for stratum in self.ledger.strata:
                values, order, forms = self._values(column, stratum)
                low = np.searchsorted(values, value - off, "left")
                high = np.searchsorted(values, value + off, "right")
                for at in order[low:high][:FEW]:
                    yield RatioForm(column, stratum, *(names[i] for i in forms[:, at]))

    def terms(self, form: RatioForm, number: Number) -> RatioTerms | None:
        """What the form is the ratio of; None where it is not here, or of another value or unit."""
        share = bool(form.base) or form.column in PARTS
        names, asked = self.ledger.conditions, [name for name in form[2:] if name]
        if share != (number.unit == SHARE) or not set(asked) <= set(names):
            return None
        sums, tokens = self.sums(form.column, form.stratum)
        rows = {name: sums[names.index(name)] for name in asked} | {"": np.zeros(sums.shape[1])}
        counts = [tokens[names.index(name)] for name in asked]
        if any((one != counts[0]).any() for one in counts):
            return None
        top = rows[form.top] - rows[form.less]
        bottom = rows[form.base] - rows[form.whole] if form.base else counts[0].astype(float)
        few = form.column in PARTS and np.abs(top).sum() < TELLING
        if few or not bottom.sum() or not np.isfinite(top).all():
            return None
        sign = math.copysign(1.0, bottom.sum())
        value = float(top.sum() / bottom.sum())
        near = math.isclose(value, number.value or 0.0, rel_tol=ALIKE)
        return RatioTerms(form, sign * top, sign * bottom, counts[0]) if near else None


def _all(*places: Sequence[int] | np.ndarray) -> np.ndarray:
    """All combinations, (place, combination)."""
    return np.stack([one.ravel() for one in np.meshgrid(*places, indexing="ij")])


@dataclass(frozen=True)
class KeptLedgers:
    """What a record's ledgers hold, as far as they are in a folder."""

    sheets: tuple[Sheet, ...]
    settings: Settings
    lacks: str = ""
    """Why there are none."""

    @classmethod
    def of(cls, record: Record, folders: Sequence[Path]) -> KeptLedgers:
        """Read the ledgers that a record names.

        Args:
            record: What names them.
            folders: Where measurements are kept.
        """
        settings = Settings(record.level, record.resamples, record.seed)
        if not record.ledgers:
            return cls(
                (),
                settings,
                "it names none: it was measured without keeping, or before they were kept",
            )
        found = {
            what: [one for name in names if (one := _read(folders, name))]
            for what, names in record.ledgers.items()
        }
        if not any(found.values()):
            there = " or ".join(map(str, folders)) or "any folder"
            return cls((), settings, f"its ledgers are not in {there} (name a folder with --run)")
        return cls(tuple(_sheets(found)), settings)


def _read(folders: Sequence[Path], name: str) -> Ledger | None:
    return next((one for folder in folders if (one := Ledger.kept(folder, name))), None)


def _sheets(found: Mapping[str, Sequence[Ledger]]) -> Iterator[Sheet]:
    """Every ledger alone, and all of one text together: a sweep's halves are one text."""
    whole = {what: _joined(parts) for what, parts in found.items() if parts}
    for what, parts in found.items():
        for one in [*parts, whole[what]] if len(parts) > 1 else parts:
            beside = {
                other: it for other, it in whole.items()
                if other != what and INTACT in it.conditions and set(it.documents) == set(one.documents)
            }  # fmt: skip
            more = [
                it.only([INTACT]).also({other: INTACT}).only([other])
                for other, it in beside.items()
            ]
            yield Sheet(Ledger.concat([one, *more]), (INTACT, *beside))


def _joined(parts: Sequence[Ledger]) -> Ledger:
    """Rows of several ledgers of one text; what was measured twice counts once."""
    if len(parts) == 1:
        return parts[0]
    known: set[tuple[str, str]] = set()
    fresh = []
    for one in parts:
        pairs = list(
            zip(one.table["condition"].to_pylist(), one.table["document"].to_pylist(), strict=True)
        )
        keep = [pair not in known for pair in pairs]
        fresh.append(Ledger(one.table.filter(keep), one.tokens, one.unit))
        known |= set(pairs)
    return Ledger.concat(fresh)


@dataclass(frozen=True)
class Pairing:
    """Two records whose documents may be paired."""

    before: KeptLedgers
    after: KeptLedgers

    @classmethod
    def of(cls, before: Record, after: Record, folders: Sequence[Path]) -> Pairing:
        """Read what both kept."""
        return cls(KeptLedgers.of(before, folders), KeptLedgers.of(after, folders))

    @cached_property
    def both(self) -> tuple[tuple[Sheet, Sheet], ...]:
        """Sheets of the same documents."""
        every = product(self.before.sheets, self.after.sheets)
        return tuple((a, b) for a, b in every if set(a.ledger.documents) == set(b.ledger.documents))

    @property
    def lacks(self) -> str:
        """Why nothing can be paired; empty where something can."""
        for when, kept in (("before", self.before), ("after", self.after)):
            if kept.lacks:
                return f"of the record {when} {kept.lacks}"
        return "" if self.both else "they are of other documents"

    def __call__(self, before: Number, after: Number) -> Number | None:
        """After minus before with its paired interval; None where it cannot be paired.

        The interval is the longer at each end of two: the jackknife's, of what the difference loses as a
        document is left out of both (`of_estimate`), and the two numbers' own ends with the documents'
        correlation (Zou and Donner 2008), which keeps what a small denominator does to a share.
        """
        ends = (before.low, before.high, after.low, after.high)
        if None in ends or before.unit != after.unit or ends[0] == ends[1] or ends[2] == ends[3]:
            return None  # what is refused, or so by construction
        assert before.value is not None and after.value is not None
        found = list(self._terms(before, after))
        if len(found) != 1:
            return None
        (old, new), value = found[0], after.value - before.value
        falls = new.falls - old.falls
        low, high = of_estimate(value, falls, old.tokens + new.tokens, self.before.settings.level)
        if low == high:  # documents that all change alike say nothing of others
            same = Number(value=0.0, low=0.0, high=0.0, unit=after.unit)
            return None if value else same
        own = between(before, after, _correlation(old.falls, new.falls))
        assert own.low is not None and own.high is not None
        return Number(value=value, low=min(low, own.low), high=max(high, own.high), unit=after.unit)

    def _terms(self, before: Number, after: Number) -> Iterator[tuple[RatioTerms, RatioTerms]]:
        """What both numbers are ratios of, each once that says something else of the documents."""
        tried: list[tuple[RatioTerms, RatioTerms]] = []
        for one, two in self.both:
            for form in one.near(before.value or 0.0):
                old, new = one.terms(form, before), two.terms(form, after)
                if (
                    old is None
                    or new is None
                    or any(_same(old, o) and _same(new, n) for o, n in tried)
                ):
                    continue
                tried.append((old, new))
                if old.gives(before, self.before.settings) and new.gives(
                    after, self.after.settings
                ):
                    yield old, new


def _same(one: RatioTerms, two: RatioTerms) -> bool:
    """Whether two ratios are of one kind and say the same of every document."""
    a, b = one.falls, two.falls
    if [bool(name) for name in one.form] != [bool(name) for name in two.form]:
        return False
    return a.shape == b.shape and bool(np.abs(a - b).max() <= ALIKE * np.abs(a).max())


def _correlation(one: np.ndarray, two: np.ndarray) -> float:
    size = math.sqrt(float(one @ one) * float(two @ two))
    return float(one @ two) / size if size else 0.0
