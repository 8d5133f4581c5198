"""What can go wrong, said in three parts: what was asked, what was found, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from numbers import Integral
from types import MappingProxyType
from typing import NamedTuple


class Why(NamedTuple):
    """Why something cannot be, from whoever does not know what was asked: the last two parts of an error."""

    found: str
    do: str


class UnexplainedError(Exception):
    """Base of every error that this package raises on purpose.

    Args:
        asked: What the caller wanted, with the value they gave.
        found: What is there instead.
        do: The next step that would help; near matches go here.
    """

    def __init__(self, asked: str, found: str, do: str = "") -> None:
        self.asked, self.found, self.do = map(_printable, (asked, found, do))
        super().__init__(self.asked, self.found, self.do)

    def __str__(self) -> str:
        return f"{self.asked}: {self.found}." + (f" {self.do}" if self.do else "")


def _printable(part: str) -> str:
    """What can be written anywhere: a name that is no UTF-8 is told with escapes."""
    return part.encode("utf-8", "backslashreplace").decode("utf-8")


class SiteError(UnexplainedError):
    """A site that does not parse or that the model does not have."""


class SubjectError(UnexplainedError):
    """A model that cannot be loaded or opened up."""


class TextError(UnexplainedError):
    """A text that is empty, too short, unreadable or does not belong to the model."""


class FetchError(UnexplainedError):
    """A download that failed, was cut off or does not have the pinned hash."""


class ExplanationError(UnexplainedError):
    """An explanation that does not exist, raised, or returned something that cannot stand in."""


class MeasurementError(UnexplainedError):
    """A measurement that gave NaN or infinity, or could not be kept on disk."""


class NotFinite(MeasurementError):
    """A loss is NaN or infinite."""

    conditions: Mapping[str, str] = MappingProxyType({})
    """Of which conditions, and what was found of each, as far as was measured."""


class CurveError(UnexplainedError):
    """Points no scaling curve can be fitted to, or a question that a curve has no answer to."""


class RecordError(UnexplainedError):
    """A record file that cannot be read."""


def require_count(
    name: str, value: object, *, least: int, most: int | None = None, why: str = ""
) -> None:
    """Refuse what is no whole number within bounds, before anything is run.

    Args:
        name: The parameter, as Python calls it; the command line puts its option in the place.
        value: What was given.
        least: The least that is taken.
        most: The most; no bound if None.
        why: What the bound is for, where it is not plain.

    Raises:
        MeasurementError: It is none, or outside.

    >>> require_count("draws", 0, least=1)
    Traceback (most recent call last):
    unexplained.errors.MeasurementError: draws=0: the least is 1.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise MeasurementError(
            f"{name}={value!r}", "it is no whole number", f"Give a whole number from {least} on."
        )
    number = int(value)
    if number < least or (most is not None and number > most):
        bound = f"the least is {least}" if number < least else f"the most is {most}"
        raise MeasurementError(f"{name}={value}", bound + (f": {why}" if why else ""))


def require_choice(name: str, value: object, known: Iterable[str]) -> None:
    """Refuse what is not one of some names, before anything is run.

    Raises:
        MeasurementError: It is none of them (with near matches).

    >>> require_choice("by", "sign", ["absolute", "signed"])
    Traceback (most recent call last):
    unexplained.errors.MeasurementError: by='sign': there is no such choice. Did you mean signed?
    """
    names = list(known)
    if value not in names:
        raise MeasurementError(
            f"{name}={value!r}", "there is no such choice", near_matches(str(value), names)
        )


def require_once(what: str, names: Iterable[str]) -> None:
    """Refuse names of which one is given twice.

    Raises:
        MeasurementError: One is.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise MeasurementError(f"The {what} '{name}'", "it is given twice", "Give it once.")
        seen.add(name)


def require_different(models: Iterable[tuple[str, str]]) -> None:
    """Refuse a model that is given under two names: it would pass for two that came out alike.

    Args:
        models: Their names and fingerprints.

    Raises:
        MeasurementError: There is one.
    """
    known: dict[str, str] = {}
    for name, mark in models:
        if (other := known.setdefault(mark, name)) != name:
            raise MeasurementError(f"{other} and {name}", "they are one model", "Give it once.")


def near_matches(name: str, known: Iterable[str], *, show: int = 3) -> str:
    """Say which known names are close to a wrong one, as the `do` part of an error.

    >>> near_matches("webmx", ["webmix", "pydocs"])
    'Did you mean webmix?'
    >>> near_matches("zzz", ["webmix", "pydocs"])
    'There are: webmix, pydocs.'
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, n=show, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"There are: {listed}." if names else "There are none."
