"""Losses placed on the scale of training compute: the curve through the ladder's rungs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unexplained.bars import loss
from unexplained.bars.recovered import INTACT
from unexplained.curves import FittedCurve, share
from unexplained.errors import CurveError
from unexplained.ladder.catalogue import Role, Trained, catalogue
from unexplained.ladder.conditions import trained_as
from unexplained.ladder.data import DataScale
from unexplained.ladder.law import fit_rungs, law_of, left_out
from unexplained.ladder.measured import Measured
from unexplained.ladder.own import share_between_rungs, share_of_run
from unexplained.ledger import Ledger
from unexplained.record import Number
from unexplained.record.compute import Explained, RungPoint, Scale, ShareKind
from unexplained.stats import SHARE, Settings
from unexplained.subject import Subject


def scale_of(
    ledger: Ledger, subject: Subject, conditions: Sequence[str], *, settings: Settings
) -> Scale:
    """Place the intact model and some conditions on the scale of training compute.

    Documents are resampled together in all of them, rungs and conditions alike: that a text's
    documents are easy or hard moves the curve and what is placed on it by the same amount, and
    only the runs' own noise is left between them.

    Args:
        ledger: Holds the conditions and those of `weaker_models`.
        subject: The model under study.
        conditions: What to place.
        settings: Level, resamples and seed.

    Raises:
        MeasurementError: A condition was not measured, or on other tokens.
    """
    mine = trained_as(subject)
    known = {one.name: one for one in catalogue().models}
    rungs = [
        one
        for one in catalogue().rungs()
        if one.name in ledger.conditions or (mine is not None and one.name == mine.name)
    ]
    own = "" if mine is None else mine.name
    names = {one.name: INTACT if one.name == own else one.name for one in rungs}
    others = [c for c in ledger.conditions if c in known and c not in names]
    measured = Measured.of(ledger, [*names.values(), *others, INTACT, *conditions], settings)
    points = tuple(
        RungPoint(
            name=one.name, rung=one.rung, seed=one.seed, compute=one.compute,
            parameters=one.parameters, tokens=one.tokens,
            loss=loss(ledger, names[one.name], settings=settings),
        )
        for one in rungs
    )  # fmt: skip
    says = _says(subject, mine)
    try:
        fitted = fit_rungs(rungs, names, measured, settings)
    except CurveError as error:
        return Scale(says=says, rungs=points, law=None, refused=str(error), subject=None,
                     explained=())  # fmt: skip
    place = _Place(ledger, fitted, measured, mine, _rungs(fitted, rungs, names, measured),
                   _data(rungs, names, measured, fitted, mine), settings)  # fmt: skip
    return Scale(
        says=says,
        rungs=points,
        law=law_of(fitted),
        left=left_out(rungs, names, measured, settings),
        subject=place.of(INTACT),
        explained=tuple(place.of(name) for name in conditions),
    )


def _says(subject: Subject, mine: Trained | None) -> str:
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


@dataclass(frozen=True)
class _Rungs:
    """The rungs' compute and losses (geometric means over seeds), in order."""

    compute: np.ndarray
    losses: np.ndarray
    draws: np.ndarray
    """(rung, resample)."""


def _rungs(
    fitted: FittedCurve, rungs: Sequence[Trained], names: Mapping[str, str], measured: Measured
) -> _Rungs:
    compute, losses, draws = [], [], []
    for rung in fitted.rungs:
        those = [one for one in rungs if str(one.rung) == rung]
        mine = [names[one.name] for one in those]
        compute.append(those[0].compute)
        losses.append(np.exp(np.mean([np.log(measured.values[n]) for n in mine])))
        draws.append(np.exp(np.mean([np.log(measured.draws[n]) for n in mine], axis=0)))
    return _Rungs(np.array(compute), np.array(losses), np.stack(draws))


def _data(
    rungs: Sequence[Trained],
    names: Mapping[str, str],
    measured: Measured,
    fitted: FittedCurve,
    mine: Trained | None,
) -> DataScale | None:
    if mine is None or mine.role not in ("rung", "annealed"):
        return None
    short = [one for one in catalogue().models if one.role == "annealed"]
    models = [(one, names[one.name]) for one in rungs]
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
    rungs: _Rungs
    data: DataScale | None
    settings: Settings

    def of(self, name: str) -> Explained:
        """One condition on the scale."""
        own = loss(self.ledger, name, settings=self.settings)
        draws = self.measured.draws
        found = share(
            self.fitted,
            own,
            loss(self.ledger, INTACT, settings=self.settings),
            draws=(draws[name], draws[INTACT]),
        )
        shares: dict[ShareKind, Number] = {
            "frontier": found.share,
            "between rungs": share_between_rungs(
                self.rungs.compute, self.rungs.losses, self.rungs.draws,
                (self.measured.values[name], draws[name]),
                (self.measured.values[INTACT], draws[INTACT]), settings=self.settings,
            ),
        }  # fmt: skip
        kinds: tuple[tuple[ShareKind, Role], ...] = (
            ("own run", "checkpoint"),
            ("annealed", "annealed"),
        )
        for kind, role in kinds:
            shares[kind] = self._of_run(name, role)
        shares["data"] = (
            _none("no run of this size had less data, so a surface L(N, D) says nothing of it")
            if self.data is None
            else self.data.share(self.measured, name, INTACT, self.settings)
        )
        if not self.measured.enough:
            shares = {kind: _without_ends(number) for kind, number in shares.items()}
        return Explained(
            condition=name, loss=own, shares=shares,
            equals=found.explained.compute if self.measured.enough
            else _without_ends(found.explained.compute),
            note=found.explained.note,
        )  # fmt: skip

    def _of_run(self, name: str, role: Role) -> Number:
        mine = self.mine
        if mine is None or mine.role != "rung" or mine.seed:
            return _none("the model's own training run is not known")
        kept = [c for c in catalogue().run_of(mine.rung, role) if c.name in self.measured.draws]
        if not kept:
            return _none("of this model's own training no run was kept")
        ends_ = [(one.compute, one.name) for one in kept]
        if role == "annealed":
            ends_.append((mine.compute, INTACT))
        return share_of_run(
            [compute / mine.compute for compute, _ in ends_],
            [self.measured.values[n] for _, n in ends_],
            np.stack([self.measured.draws[n] for _, n in ends_]),
            self.measured.values[name],
            self.measured.draws[name],
            settings=self.settings,
        )


def _without_ends(number: Number) -> Number:
    """With too few documents a value stands without an interval, as everywhere."""
    return number.model_copy(update={"low": None, "high": None})


def _none(why: str) -> Number:
    return Number(value=None, unit=SHARE, refused=why)
