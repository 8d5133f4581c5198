"""Losses placed on the scale of training compute: the curve through the ladder's rungs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unexplained.bars import loss
from unexplained.bars.recovered import INTACT
from unexplained.curves import FittedCurve, Share, share
from unexplained.curves.draws import Form
from unexplained.errors import CurveError
from unexplained.estimators.seeds import Scatter
from unexplained.ladder.catalogue import RunRole, Trained, catalogue
from unexplained.ladder.conditions import trained_as
from unexplained.ladder.data import DataScale, Sized
from unexplained.ladder.family import Family, shipped_beside
from unexplained.ladder.law import fit_rungs, law_of, left_out
from unexplained.ladder.measured import Measured
from unexplained.ladder.members import FamilyRun
from unexplained.ladder.own import share_between_rungs, share_of_run
from unexplained.ladder.scatter import moved_runs, scatter_among
from unexplained.ledger import BITS, Ledger
from unexplained.record import Number
from unexplained.record.compute import Explained, RungPoint, Scale, ShareKind
from unexplained.stats import SHARE, Settings
from unexplained.subject import Subject

ROOM = 4.0
"""Standard deviations between runs by which a draw may lie beyond the end rungs and still be placed."""


def scale_of(
    ledger: Ledger,
    subject: Subject,
    conditions: Sequence[str],
    family: Family | None = None,
    *,
    settings: Settings,
) -> Scale:
    """Place the intact model and some conditions on the scale of training compute.

    Documents are resampled together in all of them, rungs and conditions alike: that a text's
    documents are easy or hard moves the curve and what is placed on it by the same amount, and
    only the runs' own noise is left between them. That is in every interval: other runs of the rungs
    would have been other rungs. The model is itself, and no other run of its recipe.

    Args:
        ledger: Holds the conditions and the family's members.
        subject: The model under study.
        conditions: What to place.
        family: The models that place it, the ladder by default. Those whose compute is not known are
            placed beside the conditions.
        settings: Level, resamples and seed.

    Raises:
        MeasurementError: A condition was not measured, or on other tokens.
    """
    family = family or shipped_beside(subject)
    mine = trained_as(subject) if family.shipped else None
    rungs = [
        one for one in family.runs if one.name in ledger.conditions or one.name == family.itself
    ]
    names = {one.name: INTACT if one.name == family.itself else one.name for one in rungs}
    beside = [one.name for one in family.beside if one.name in ledger.conditions]
    conditions = [*conditions, *(name for name in family.unknown if name in ledger.conditions)]
    measured = Measured.of(ledger, [*names.values(), *beside, INTACT, *conditions], settings)
    points = tuple(
        RungPoint(**one._asdict(), loss=loss(ledger, names[one.name], settings=settings))
        for one in rungs
    )
    scale = Scale(says=_says(subject, family, mine, ledger.unit), unit=ledger.unit, rungs=points,
                  law=None, subject=None, explained=())  # fmt: skip
    try:
        if family.no_curve:
            raise CurveError("A curve through this family", family.no_curve)
        fitted = fit_rungs(rungs, names, measured, settings, unit=ledger.unit)
    except CurveError as error:
        return scale.model_copy(update=_unplaced(ledger, conditions, error, settings))
    scatter, said = scatter_among(
        rungs,
        {one.name: measured.values[names[one.name]] for one in rungs},
        shipped=family.shipped,
    )
    place = _Place(ledger, fitted, measured, mine, family.shipped, scatter,
                   _rungs(fitted, rungs, names, measured, scatter, settings),
                   _data(rungs, names, measured, fitted, mine), settings)  # fmt: skip
    law, bend, form = law_of(fitted)
    found = {
        "law": law,
        "bend": bend,
        "form": form,
        "scatter": said,
        "left": left_out(rungs, names, measured, settings, unit=ledger.unit),
        "subject": place.of(INTACT),
        "explained": tuple(place.of(name) for name in conditions),
    }
    return scale.model_copy(update=found)


def _unplaced(
    ledger: Ledger, conditions: Sequence[str], error: CurveError, settings: Settings
) -> dict[str, Any]:
    """Losses that have no place, because there is no curve."""

    def one(name: str) -> Explained:
        none = Number(value=None, unit="FLOPs", refused=f"there is no curve: {error.found}")
        own = loss(ledger, name, settings=settings)
        return Explained(condition=name, loss=own, equals=none, shares={})

    return {
        "refused": str(error),
        "subject": one(INTACT),
        "explained": tuple(one(name) for name in conditions),
    }


def _says(subject: Subject, family: Family, mine: Trained | None, unit: str) -> str:
    if not family.shipped:
        return _says_own(subject, family, unit)
    known = catalogue()
    count = len({one.rung for one in known.rungs()})
    said = (
        f"{count} rungs trained by us on {known.corpus}, each near its compute-optimal point, "
        "with the same tokenizer as the model"
    )
    if mine is None:
        return f"{said}; the model is not one of them."
    if mine.role == "rung":
        return f"{said}; the model is rung {mine.rung} itself."
    return f"{said}; the model is ours too, but not a rung ({mine.role})."


def _says_own(subject: Subject, family: Family, unit: str) -> str:
    count = len(family.members)
    said = f"{count} model{'s' if count > 1 else ''} given as a family, with the training compute that "
    said += "was given with them"
    if unit == BITS:
        why = "as was asked" if family.by_byte else "since tokenizers differ from the model's"
        said += f"; {why}, all losses are in bits per byte of the same characters"
    else:
        said += ", and with the same tokenizer as the model"
    if family.itself:
        return f"{said}; {family.itself} is the model itself."
    return f"{said}; {subject.name} is not one of them."


@dataclass(frozen=True)
class _Rungs:
    """The rungs' compute and losses (geometric means over seeds), in order."""

    compute: np.ndarray
    losses: np.ndarray
    draws: np.ndarray
    """(rung, resample): of documents, and of runs."""


def _rungs(
    fitted: FittedCurve,
    rungs: Sequence[FamilyRun],
    names: Mapping[str, str],
    measured: Measured,
    scatter: Scatter,
    settings: Settings,
) -> _Rungs:
    compute, losses, draws, runs = [], [], [], []
    for rung in fitted.rungs:
        those = [one for one in rungs if str(one.rung) == rung]
        mine = [names[one.name] for one in those]
        compute.append(those[0].compute)
        losses.append(np.exp(np.mean([np.log(measured.values[n]) for n in mine])))
        draws.append(np.exp(np.mean([np.log(measured.draws[n]) for n in mine], axis=0)))
        runs.append(len(those))
    moved = np.exp(moved_runs(scatter, runs, settings))
    return _Rungs(np.array(compute), np.array(losses), np.stack(draws) * moved)


def _data(
    rungs: Sequence[FamilyRun],
    names: Mapping[str, str],
    measured: Measured,
    fitted: FittedCurve,
    mine: Trained | None,
) -> DataScale | None:
    if mine is None or mine.role not in ("rung", "annealed"):
        return None
    short = [one for one in catalogue().models if one.role == "annealed"]
    models: list[tuple[Sized, str]] = [(one, names[one.name]) for one in rungs]
    models += [(one, one.name) for one in short if one.name in measured.values]
    if mine.role == "annealed":
        models.append((mine, INTACT))
    return DataScale.through(models, mine, measured, fitted)


@dataclass(frozen=True)
class _Place:
    """Everything that a loss is placed with."""

    ledger: Ledger
    fitted: FittedCurve
    measured: Measured
    mine: Trained | None
    shipped: bool
    scatter: Scatter
    rungs: _Rungs
    data: DataScale | None
    settings: Settings

    def of(self, name: str) -> Explained:
        """One condition on the scale."""
        own = loss(self.ledger, name, settings=self.settings)
        draws = self.measured.draws
        chosen = self._share(self.fitted, name)
        shares: dict[ShareKind, Number] = {"frontier": self._by("law", chosen, name)}
        if self.fitted.bending is not None:
            shares["bend"] = self._by(self.fitted.bending, chosen, name)
        shares["between rungs"] = share_between_rungs(
            self.rungs.compute, self.rungs.losses, self.rungs.draws,
            (self.measured.values[name], draws[name]),
            (self.measured.values[INTACT], draws[INTACT]),
            settings=self.settings, room=ROOM * (self.scatter.deviation or 0.0),
        )  # fmt: skip
        kinds: tuple[tuple[ShareKind, RunRole], ...] = (
            ("own run", "checkpoint"),
            ("annealed", "annealed"),
        )
        if self.shipped:  # of other families no runs but the rungs' are known
            for kind, role in kinds:
                shares[kind] = self._of_run(name, role)
            shares["data"] = (
                _none("no run of this size had less data, so a surface L(N, D) says nothing of it")
                if self.data is None
                else self.data.share(self.measured, name, INTACT, self.settings)
            )
        shares = {kind: at_most_all(number) for kind, number in shares.items()}
        if not self.measured.enough:
            shares = {kind: _without_ends(number) for kind, number in shares.items()}
        return Explained(
            condition=name, loss=own, shares=shares,
            equals=chosen.explained.compute if self.measured.enough
            else _without_ends(chosen.explained.compute),
            note=chosen.explained.note,
        )  # fmt: skip

    def _share(self, fitted: FittedCurve, name: str) -> Share:
        draws = self.measured.draws
        return share(
            fitted,
            loss(self.ledger, name, settings=self.settings),
            loss(self.ledger, INTACT, settings=self.settings),
            draws=(draws[name], draws[INTACT]),
        )

    def _by(self, form: Form, chosen: Share, name: str) -> Number:
        """The frontier share by one form: with the doubt about it where it was chosen."""
        if form == self.fitted.form:
            return chosen.share
        return self._share(self.fitted.only(form), name).share

    def _of_run(self, name: str, role: RunRole) -> Number:
        mine = self.mine
        if mine is None or mine.role != "rung" or mine.seed:
            return _none("the model's own training run is not known")
        kept = [c for c in catalogue().run_of(mine.rung, role) if c.name in self.measured.draws]
        if not kept:
            return _none("of this model's own training no run was kept")
        draws = np.stack([self.measured.draws[one.name] for one in kept])
        draws = draws * np.exp(moved_runs(self.scatter, [1] * len(kept), self.settings))
        shares = [one.compute / mine.compute for one in kept]
        losses = [self.measured.values[one.name] for one in kept]
        if role == "annealed":  # ends at the model itself, which is no other run
            draws = np.vstack([draws, self.measured.draws[INTACT]])
            shares, losses = [*shares, 1.0], [*losses, self.measured.values[INTACT]]
        return share_of_run(
            shares, losses, draws, self.measured.values[name], self.measured.draws[name],
            settings=self.settings,
        )  # fmt: skip


def at_most_all(number: Number) -> Number:
    """A share of compute as one: what is worth as much as the model or more keeps all of it.

    min(1, C*(L_h) / C*(L_m)), and its ends likewise, which changes nothing of how often they hold
    it. Refused where not even chance puts the condition below the model: it is a better model, and
    a share of more than everything says nothing of what was explained.

    >>> at_most_all(Number(value=1.1, low=0.9, high=1.3, unit="share")).high
    1.0
    >>> at_most_all(Number(value=1.5, low=1.2, high=1.9, unit="share")).refused
    "the condition is better than the model itself: it is worth more than all of the model's compute"
    """
    if number.value is None:
        return number
    if number.value > 1 and (number.low is None or number.low > 1):
        return _none(
            "the condition is better than the model itself: it is worth more than all of the "
            "model's compute"
        )
    ends = {"value": number.value, "low": number.low, "high": number.high}
    return number.model_copy(
        update={what: None if end is None else min(end, 1.0) for what, end in ends.items()}
        | ({} if number.high is not None or number.low is None else {"high": 1.0})
    )


def _without_ends(number: Number) -> Number:
    """With too few documents a value stands without an interval, as everywhere."""
    return number.model_copy(update={"low": None, "high": None})


def _none(why: str) -> Number:
    return Number(value=None, unit=SHARE, refused=why)
