"""Sums over documents: which are taken, on what scale they are computed with, how many they count for."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np

from unexplained.errors import MeasurementError
from unexplained.settings import FEWEST_DOCUMENTS as FEWEST_DOCUMENTS

LEAST_ALIKE = 2.0
"""Nor where documents are as unequal as fewer than so many of one length: one of them decides."""

ROUNDING = 1e-9
"""By this share a total may be above the tokens of which it counts some."""


def checked(tokens: np.ndarray, **columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """The columns and the tokens as floats, in that order.

    Raises:
        MeasurementError: Lengths differ, an entry is masked, no real number, NaN or infinite, a count is
            negative, or a document without tokens has a sum.
    """
    return _checked(tokens, columns)


def checked_rows(tokens: np.ndarray, **columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same of columns (…, document): many sums over the same documents.

    Raises:
        MeasurementError: As for `checked`.
    """
    return _checked(tokens, columns, rows=True)


def _checked(
    tokens: np.ndarray, columns: dict[str, np.ndarray], *, rows: bool = False
) -> tuple[np.ndarray, ...]:
    """See `checked`; of `rows` the last axis is documents."""
    named = {**columns, "tokens": tokens}
    read = {name: _numbers(name, column) for name, column in named.items()}
    documents = read["tokens"].size
    asked = f"A ratio of sums over {documents} documents"
    for name, column in read.items():
        if (column.ndim != 1 and not (rows and name in columns)) or column.shape[-1:] != (
            documents,
        ):
            found = f"{name} has shape {column.shape}"
            raise MeasurementError(asked, found, "Give one entry per document.")
        if (bad := _documents(~np.isfinite(column))).size:
            found = f"{name} is NaN or infinite in {bad.size} of them, first at place {bad[0]}"
            raise MeasurementError(asked, found, "Measure those documents again.")
    if (read["tokens"] < 0).any():
        raise MeasurementError("A ratio of sums", "a document has a negative number of tokens")
    for name in columns:
        if (bad := _documents((read["tokens"] == 0) & (read[name] != 0))).size:
            there = read[name][..., bad[0]].ravel()
            raise MeasurementError(
                asked,
                f"{name} is {there[there != 0][0]:g} at place {bad[0]}, where there are no tokens",
                "Count its tokens, or leave that document out.",
            )
    return tuple(read.values())


def _documents(bad: np.ndarray) -> np.ndarray:
    """Places of the documents of which anything is bad."""
    return np.flatnonzero(bad.reshape(-1, bad.shape[-1]).any(0))


def _numbers(name: str, column: object) -> np.ndarray:
    """A column as float64, its values unchanged, or a refusal."""
    asked = f"A ratio of sums of {name}"
    if isinstance(column, np.ma.MaskedArray) and np.ma.is_masked(column):
        masked = int(np.sum(column.mask))
        raise MeasurementError(asked, f"{masked} entries are masked", "Leave those documents out.")
    try:
        values = np.asarray(column)
        real = values.dtype.kind in "biuf" or (
            values.dtype.kind == "O" and all(isinstance(one, Real) for one in values.flat)
        )
        if real:
            with np.errstate(over="ignore"):
                return np.asarray(values, dtype=np.float64)
        found = f"it holds {values.dtype}, no real numbers"
    except (TypeError, ValueError, OverflowError) as error:
        found = f"it cannot be read as numbers ({error})"
    raise MeasurementError(asked, found, "Give one real number per document.")


def require_parts(total: np.ndarray, tokens: np.ndarray) -> None:
    """Refuse as a share of tokens what counts more than there are.

    Raises:
        MeasurementError: A total is beyond its document's tokens, or a document has part of a token.
    """
    asked = f"A share of tokens over {tokens.size} documents"
    if (bad := np.flatnonzero(np.abs(total) > tokens * (1 + ROUNDING))).size:
        at = bad[0]
        found = f"{total[at]:g} of {tokens[at]:g} tokens count at place {at}"
        raise MeasurementError(asked, found, "Give counts of some of the tokens, or another unit.")
    if (bad := np.flatnonzero((tokens > 0) & (tokens < 1))).size:
        found = f"the document at place {bad[0]} has {tokens[bad[0]]:g} tokens"
        raise MeasurementError(asked, found, "Give tokens as counts.")


def scaled(*columns: np.ndarray) -> tuple[int, list[np.ndarray]]:
    """The columns over one power of two, so that their squares are numbers, and its exponent.

    Nothing is rounded by it, so what is computed of them does not depend on their unit.

    >>> exponent, (column,) = scaled(np.array([3e200, 1e200]))
    >>> bool(0.5 <= column.max() < 1), bool(np.ldexp(column, exponent)[1] == 1e200)
    (True, True)
    """
    size = max(float(np.abs(column).max(initial=0.0)) for column in columns)
    exponent = math.frexp(size)[1]
    return exponent, [np.ldexp(column, -exponent) for column in columns]


def unscaled(number: float, exponent: int) -> float:
    """A number in its own unit again.

    Raises:
        MeasurementError: No float is so large or so small.
    """
    try:
        found = math.ldexp(number, exponent)
    except OverflowError:
        found = math.inf
    if math.isinf(found) or (number and abs(found) < np.finfo(float).tiny):
        size = math.log10(abs(number)) + exponent * math.log10(2)
        raise MeasurementError(
            "A ratio of sums", f"it has the size 1e{size:+.0f}, which no number here can hold",
            "Give the sums in another unit.",
        )  # fmt: skip
    return found


def alike(tokens: np.ndarray) -> float:
    """How many documents of one length these are worth: (Σ t)² / Σ t²; Kish 1965.

    >>> alike(np.array([10.0, 10.0, 0.0])), round(alike(np.array([10.0, 10.0, 100_000.0])), 4)
    (2.0, 1.0004)
    """
    _, (tokens,) = scaled(np.asarray(tokens, dtype=float))
    return float(tokens.sum() ** 2 / (float(tokens @ tokens) or 1.0))


def too_few(tokens: np.ndarray) -> str:
    """Why documents of these lengths give no interval; nothing where they do."""
    count = int(np.count_nonzero(tokens))
    if count < FEWEST_DOCUMENTS:
        return f"too few documents for an interval ({count}; it takes {FEWEST_DOCUMENTS})"
    if (worth := alike(tokens)) < LEAST_ALIKE:
        share = float(np.max(tokens / np.sum(tokens)))
        return (
            f"documents too unequal for an interval (the largest of {count} has {share:.1%} of the "
            f"tokens, so that they are worth {worth:.1f} of one length; it takes {LEAST_ALIKE:g})"
        )
    return ""
