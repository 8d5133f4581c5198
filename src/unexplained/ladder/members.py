"""Models of any tokenizers with what their training took: a family, and the curve through it.

Pythia's suite, a laboratory's own checkpoints: losses by byte of the same characters have a place on
one axis, and others can be placed on the curve through those whose training compute is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from unexplained.curves import compute_of
from unexplained.curves.points import FEWEST_RUNGS
from unexplained.errors import CurveError, SubjectError, require_once
from unexplained.ladder.catalogue import catalogue
from unexplained.ladder.law import fit_rungs, law_of, left_out
from unexplained.ladder.measured import Measured
from unexplained.ledger import BITS as BITS
from unexplained.record import Number
from unexplained.record.compute import Explained, RungPoint, Scale
from unexplained.stats import Settings
from unexplained.subject import Subject, load


@dataclass(frozen=True)
class Member:
    """A model of a family.

    Models are opened one after another, once for their tokenizers and once to be measured, so that
    a whole suite need not fit into memory at once.
    """

    name: str
    open: Callable[[], Subject]
    compute: float | None = None
    """FLOPs of training; None: only to be placed. Members of equal compute are runs of one rung."""
    parameters: int = 0
    """0 where that is not known."""
    tokens: int = 0
    """Of training; 0 where that is not known."""


class FamilyRun(NamedTuple):
    """A member of known compute, as a run of a rung."""

    name: str
    rung: int
    """From 1 on, by compute."""
    seed: int
    """Which of the rung's runs, in the order in which they were given."""
    compute: float
    parameters: int
    tokens: int


def runs_of(members: Sequence[Member]) -> tuple[FamilyRun, ...]:
    """Members by compute, those of equal compute as runs of one rung; none whose compute is unknown."""
    compute = attrgetter("compute")
    known = sorted((one for one in members if one.compute is not None), key=compute)
    return tuple(
        FamilyRun(one.name, rung, seed, flops, one.parameters, one.tokens)
        for rung, (flops, runs) in enumerate(groupby(known, key=compute), start=1)
        for seed, one in enumerate(runs)
    )


def member_of(asked: str | Member, *, curve: bool, needed: bool = True) -> Member:
    """A member by its name, of the family with its training compute, `MODEL=FLOPS`.

    Args:
        asked: The name, followed by the compute where the ladder does not know it.
        curve: Whether it is of the family, or is placed beside it.
        needed: Whether one of the family without a compute is refused.

    Raises:
        CurveError: The compute of a member of the family is not given, or is no number.
    """
    if isinstance(asked, Member):
        return asked
    name, compute = (asked, None) if not curve else named(asked) if needed else _perhaps(asked)
    return Member(name, lambda: load(name), compute)


def named(asked: str) -> tuple[str, float]:
    """A model and its training compute: given, 6·N·D, or the ladder's own.

    Raises:
        CurveError: It is not given, or no number.
    """
    name, compute = _perhaps(asked)
    if compute is None:
        raise CurveError(
            f"The model '{asked}' on a curve",
            "its training compute is not given",
            f"Write {asked}=FLOPS or {asked}=PARAMETERSxTOKENS, or give it with --place.",
        )
    return name, compute


def _perhaps(asked: str) -> tuple[str, float | None]:
    """The same; None where the compute is not given."""
    name, _, number = asked.rpartition("=")
    if not name or Path(asked).exists():
        try:
            return asked, catalogue().named(asked).compute
        except SubjectError:
            return asked, None
    try:
        size, times, tokens = number.partition("x")
        factors = [float(size), float(tokens)] if times else [float(number)]
        if min(factors) <= 0:
            raise ValueError
        return name, 6 * factors[0] * factors[1] if times else factors[0]
    except ValueError:
        raise CurveError(
            f"The training compute of {name}",
            f"'{number}' is neither a number above 0 nor two joined by x",
            f"Write {name}=1e20, or {name}=70e6x300e9 for parameters and tokens.",
        ) from None


def require_computes(members: Sequence[Member]) -> None:
    """Refuse computes that are none, and names given twice.

    Raises:
        CurveError: A compute is not positive and finite.
        MeasurementError: Two members share a name.
    """
    require_once("model", [member.name for member in members])
    for member in members:
        if member.compute is not None and not 0 < member.compute < math.inf:
            raise CurveError(
                f"The training compute of {member.name}",
                f"{member.compute:g} is not positive and finite",
                "Give FLOPs: about 6 times parameters times tokens.",
            )


def require_members(members: Sequence[Member]) -> None:
    """Refuse members of too few computes, or of none that is one, and names given twice.

    Raises:
        CurveError: There are fewer than three computes, or one is not positive and finite.
        MeasurementError: Two members share a name.
    """
    require_computes(members)
    different = len({member.compute for member in members} - {None})
    if different < FEWEST_RUNGS:
        raise CurveError(
            f"A curve through models of {different} training computes",
            f"it takes {FEWEST_RUNGS}",
            "Give more models with what their training took.",
        )


def scale_through(
    members: Sequence[Member],
    measured: Measured,
    losses: Mapping[str, Number],
    *,
    settings: Settings,
    extrapolate: bool,
) -> Scale:
    """The curve through the members of known compute, each left out in turn, and the others on it.

    Args:
        members: At least three computes among them; those of one are runs of one rung.
        measured: Their losses by byte, documents resampled together.
        losses: The same with their intervals.
        settings: Level, resamples and seed.
        extrapolate: Place also what is beyond the family's own losses.
    """
    rungs = tuple(RungPoint(**one._asdict(), loss=losses[one.name]) for one in runs_of(members))
    says = "The rungs are the models that were given with their training compute."
    scale = Scale(says=says, unit=BITS, rungs=rungs, law=None, subject=None, explained=())
    names = {one.name: one.name for one in rungs}
    try:
        fitted = fit_rungs(rungs, names, measured, settings, name="family", unit=BITS)
    except CurveError as error:
        return scale.model_copy(update={"refused": str(error)})
    placed = {
        one.name: compute_of(
            fitted, losses[one.name], draws=measured.draws[one.name], extrapolate=extrapolate
        )
        for one in members
        if one.compute is None
    }
    law, bend, form = law_of(fitted)
    found = {
        "law": law,
        "bend": bend,
        "form": form,
        "left": left_out(rungs, names, measured, settings, unit=BITS),
        "explained": tuple(
            Explained(condition=name, loss=losses[name], equals=at.compute, shares={}, note=at.note)
            for name, at in placed.items()
        ),
    }
    return scale.model_copy(update=found)
