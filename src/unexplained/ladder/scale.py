"""The ladder on a text: weaker models as conditions, the curve through them, losses placed on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unexplained.bars import loss
from unexplained.bars.paired import paired
from unexplained.bars.recovered import INTACT
from unexplained.curves import FittedCurve, Point, Surface, fit_curve, leave_one_out, share
from unexplained.curves.place import ends
from unexplained.curves.surface import fit_surface
from unexplained.errors import CurveError, MeasurementError
from unexplained.evaluate import AnotherModel, Other
from unexplained.ladder.catalogue import Role, Trained, catalogue
from unexplained.ladder.own import share_of_run
from unexplained.ledger import ALL, Ledger
from unexplained.record import Number
from unexplained.record.compute import (
    CurvePoint,
    Explained,
    FittedLaw,
    Left,
    RungPoint,
    Scale,
    ShareKind,
)
from unexplained.stats import FEWEST_DOCUMENTS, SHARE, Settings, resampled
from unexplained.subject import Subject, load
from unexplained.subject.shipped import NOTE
from unexplained.text import Pair, Text
from unexplained.text.document import part
from unexplained.text.tokens import Tokens

LINE = 25
"""Points at which the curve is kept for drawing."""

SURFACES = 100
"""Draws of the surface L(N, D): each is a fit of its own."""


def on_ladder(subject: Subject) -> bool:
    """Whether losses of this model and of the ladder's are of the same tokens."""
    return Tokens(subject).fingerprint == catalogue().tokenizer


def is_rung(name: str) -> bool:
    """Whether a condition of that name is a rung, with its first seed."""
    return any(one.name == name and not one.seed for one in catalogue().rungs())


def to_compare(models: Sequence[Other]) -> list[str]:
    """Names of weaker models to set bars with: not seeds, checkpoints and shorter runs of rungs."""
    known = {one.name for one in catalogue().models}
    return [one.name for one in models if one.name not in known or is_rung(one.name)]


def trained_as(subject: Subject) -> Trained | None:
    """What is known of a model that is itself of the ladder; None of any other."""
    known = {one.name: one for one in catalogue().models}
    # By where it came from, not by its name: another model can be in a folder called rung-6.
    return known.get(subject.name) if NOTE in subject.notes else None


def weaker_models(subject: Subject, text: Text) -> tuple[Other, ...]:
    """The ladder's models as conditions on a text of this model, the model itself left out.

    Every rung with every seed, the shorter annealed runs, which a surface L(N, D) is fitted to,
    and, of a rung whose run was kept, its own checkpoints. None where the model is not `on_ladder`.

    Raises:
        MeasurementError: What is to be measured is of the part that the ladder was trained on.
    """
    if not on_ladder(subject):
        return ()
    require_unseen_by(subject, text)
    mine = trained_as(subject)
    known = catalogue()
    wanted = [*known.rungs(), *(one for one in known.models if one.role == "annealed")]
    if mine is not None and mine.role == "rung" and mine.seed == 0:
        wanted += known.run_of(mine.rung, "checkpoint")
    device = str(subject.device)
    return tuple(
        Other(one.name, AnotherModel(load(one.name, device=device)))
        for one in wanted
        if mine is None or one.name != mine.name
    )


def require_same_tokens(subject: Subject, other: Subject) -> None:
    """Refuse two models whose tokens differ.

    Raises:
        MeasurementError: Their tokenizers are not the same.
    """
    if Tokens(subject).fingerprint != Tokens(other).fingerprint:
        raise MeasurementError(
            f"{other.name} beside {subject.name}",
            "their tokenizers differ, so losses per token are of different tokens",
            "Give a model with the same tokenizer; rungs of the ladder share one.",
        )


def require_unseen_by(subject: Subject, text: Text) -> None:
    """`require_unseen` where the model shares the ladder's tokenizer: the ladder may be beside it.

    Raises:
        MeasurementError: The text has documents that the ladder was trained on.
    """
    if on_ladder(subject):
        require_unseen(text)


def require_unseen(text: Text) -> None:
    """Refuse a text with documents of the fit part: the ladder was trained on `webmix`'s.

    Which part a document is in follows from its hash, in every corpus and file alike, so a document
    of the training set is found again wherever it comes from, as long as it is the whole document.

    Raises:
        MeasurementError: There are some.
    """
    running = [b for b in text.eval if not isinstance(b, Pair) and not b.second_copy]
    seen = [block.document for block in running if part(block.document) == "fit"]
    if seen:
        raise MeasurementError(
            f"The ladder on {text.name}",
            f"{len(seen)} of its {len(text.eval)} documents are of the fit part, which the ladder "
            f"was trained on (the first is {seen[0]})",
            "Measure on the eval part.",
        )


@dataclass(frozen=True)
class _Measured:
    """The losses of some conditions, and of the same documents resampled."""

    values: dict[str, float]
    draws: dict[str, np.ndarray]
    tokens: np.ndarray


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
    measured = _measure(ledger, [*names.values(), *others, INTACT, *conditions], settings)
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
        fitted = _fit(rungs, names, measured, settings)
    except CurveError as error:
        return Scale(says=says, rungs=points, law=None, refused=str(error), subject=None,
                     explained=())  # fmt: skip
    surfaces = _surfaces(known, names | ({own: INTACT} if own else {}), measured, fitted)
    place = _Place(ledger, fitted, surfaces, measured, mine, settings)
    return Scale(
        says=says,
        rungs=points,
        law=_law(fitted),
        left=_left(rungs, names, measured, settings),
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


def _measure(ledger: Ledger, names: Sequence[str], settings: Settings) -> _Measured:
    """Losses per token, and in every resample of the documents; one call, so they are paired."""
    once = list(dict.fromkeys(names))
    read = paired(ledger, "loss", tuple(once), ALL)
    drawn = resampled(settings, *read.columns, read.tokens)
    tokens = drawn[-1]
    return _Measured(
        {n: float(c.sum() / read.tokens.sum()) for n, c in zip(once, read.columns, strict=True)},
        {name: row / tokens for name, row in zip(once, drawn, strict=False)},
        read.tokens,
    )


def _fit(
    rungs: Sequence[Trained], names: dict[str, str], measured: _Measured, settings: Settings
) -> FittedCurve:
    points = _points(rungs, names, measured)
    shifts = {
        str(rung): np.mean(
            [
                np.log(measured.draws[names[one.name]] / measured.values[names[one.name]])
                for one in rungs
                if one.rung == rung
            ],
            axis=0,
        )
        for rung in {one.rung for one in rungs}
    }
    return fit_curve(points, settings, name="ladder", shifts=shifts)


def _points(rungs: Sequence[Trained], names: dict[str, str], measured: _Measured) -> list[Point]:
    return [
        Point(one.compute, measured.values[names[one.name]], str(one.rung), one.seed)
        for one in rungs
    ]


def _law(fitted: FittedCurve) -> FittedLaw:
    curve, settings = fitted.curve, fitted.settings
    assert curve.fitted is not None
    least, greatest = curve.fitted
    line = []
    for compute in np.geomspace(least, greatest, LINE):
        value = curve.loss(float(compute))
        low = high = value
        if len(fitted.draws):
            drawn = fitted.draws[:, 0] + fitted.draws[:, 1] * compute ** -fitted.draws[:, 2]
            low, high = ends(drawn, value, settings.level)
        line.append(CurvePoint(compute=float(compute), loss=value, low=low, high=high))
    return FittedLaw(
        floor=_parameter(fitted, 0, curve.floor, curve.unit),
        exponent=_parameter(fitted, 2, curve.exponent, ""),
        scale=math.log(curve.scale),
        least=least,
        greatest=greatest,
        noise=curve.spread,
        line=tuple(line),
    )


def _parameter(fitted: FittedCurve, column: int, value: float, unit: str) -> Number:
    if not len(fitted.draws):
        return Number(value=value, unit=unit)
    low, high = ends(fitted.draws[:, column], value, fitted.settings.level)
    return Number(value=value, low=low, high=high, unit=unit)


def _left(
    rungs: Sequence[Trained], names: dict[str, str], measured: _Measured, settings: Settings
) -> tuple[Left, ...]:
    try:
        found = leave_one_out(_points(rungs, names, measured), settings)
    except CurveError:
        return ()
    return tuple(
        Left(
            rung=f"rung {one.rung}",
            loss=Number(value=one.loss, unit=one.predicted.unit),
            predicted=one.predicted,
            compute=one.compute,
            equals=one.placed.compute,
            outside=one.extrapolated,
        )
        for one in found
    )


@dataclass(frozen=True)
class _Place:
    """Everything that a loss is placed with."""

    ledger: Ledger
    fitted: FittedCurve
    surfaces: list[Surface]
    measured: _Measured
    mine: Trained | None
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
        shares: dict[ShareKind, Number] = {"frontier": found.share}
        kinds: tuple[tuple[ShareKind, Role], ...] = (
            ("own run", "checkpoint"),
            ("annealed", "annealed"),
        )
        for kind, role in kinds:
            shares[kind] = self._of_run(name, role)
        shares["data"] = self._data(name)
        if np.count_nonzero(self.measured.tokens) < FEWEST_DOCUMENTS:
            shares = {kind: _without_ends(number) for kind, number in shares.items()}
        return Explained(
            condition=name, loss=own, shares=shares,
            equals=found.explained.compute if own.low is not None
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

    def _data(self, name: str) -> Number:
        mine = self.mine
        if mine is None or mine.role not in ("rung", "annealed"):
            return _none("the model is no part of the surface L(N, D)")
        if not self.surfaces:
            return _none("too few runs for a surface L(N, D)")
        sizes = [one for one in catalogue().models if one.role in ("rung", "annealed")]
        if len({one.tokens for one in sizes if one.parameters == mine.parameters}) < 2:
            return _none("extrapolated: no run of this size had less data")
        values, draws = self.measured.values, self.measured.draws
        value = _data_share(self.surfaces[0], mine, values[name], values[INTACT])
        if not 0 < value < math.inf:
            return _none("by the surface L(N, D) no data take this size there, or any do")
        least = min(one.tokens for one in sizes)
        if self.surfaces[0].data_for(mine.parameters, values[name]) < least:
            return _none(f"extrapolated: no run has so little data (the least is {least:,} tokens)")
        found = np.array(
            [
                _data_share(surface, mine, draws[name][i], draws[INTACT][i])
                for i, surface in enumerate(self.surfaces[1:])
            ]
        )
        # A draw that says nothing counts against both ends.
        low = ends(np.nan_to_num(found, nan=-math.inf, posinf=math.inf), value, self.settings.level)
        high = ends(np.nan_to_num(found, nan=math.inf, posinf=math.inf), value, self.settings.level)
        return Number(
            value=value,
            low=max(low[0], 0.0),
            high=high[1] if math.isfinite(high[1]) else None,
            unit=SHARE,
        )


def _data_share(surface: Surface, mine: Trained, explained: float, model: float) -> float:
    """D at which this size reaches the loss, by D at which it reaches the model's own.

    Infinite where no data take it to the explained loss, 0 where none take it to the model's, NaN
    where neither is reached.
    """
    there, whole = (_data_for(surface, mine, loss) for loss in (explained, model))
    if math.isinf(there) and math.isinf(whole):
        return math.nan
    return 0.0 if math.isinf(whole) else there / whole if whole > 0 else math.nan


def _data_for(surface: Surface, mine: Trained, loss: float) -> float:
    try:
        return surface.data_for(mine.parameters, loss)
    except (CurveError, OverflowError, ZeroDivisionError):
        return math.inf


def _without_ends(number: Number) -> Number:
    """With too few documents a value stands without an interval, as everywhere."""
    return number.model_copy(update={"low": None, "high": None})


def _none(why: str) -> Number:
    return Number(value=None, unit=SHARE, refused=why)


def _surfaces(
    known: dict[str, Trained], names: dict[str, str], measured: _Measured, fitted: FittedCurve
) -> list[Surface]:
    """The surface through rungs and shorter runs, then draws of it; none if there are too few.

    Each draw has its documents resampled, those of the draws of the losses, and every run's loss
    moved by a draw of the run-to-run noise.
    """
    where = names | {n: n for n in measured.values if n in known and known[n].role == "annealed"}
    models = [known[name] for name in where]

    def fitted_to(losses: Sequence[float], near: Surface | None) -> Surface:
        rows = [(m.parameters, m.tokens, value) for m, value in zip(models, losses, strict=True)]
        return fit_surface(rows, name="ladder", near=near)

    try:
        best = fitted_to([measured.values[place] for place in where.values()], None)
    except CurveError:
        return []
    rng = np.random.default_rng([fitted.settings.seed, 3])
    noise = np.exp((fitted.noise or 0.0) * rng.standard_normal((SURFACES, len(models))))
    drawn = np.stack([measured.draws[place] for place in where.values()], axis=1)
    return [best, *(fitted_to(list(drawn[i] * noise[i]), best) for i in range(SURFACES))]
