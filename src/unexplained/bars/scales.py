"""Training compute as blocks: rungs, the curves through them, and what each condition is as good as."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from unexplained.record import Explained, Number, Scale, ShareKind
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    AnswerRow,
    Block,
    Column,
    Compute,
    CurvePoint,
    OnCurve,
    Prose,
    Role,
    Row,
    Section,
    Table,
    fact,
    facts,
)
from unexplained.record.compute import FittedLaw, LeftOutRung
from unexplained.record.keys import step

SHARES: tuple[tuple[ShareKind, str, str], ...] = (
    (
        "frontier",
        "Frontier share",
        "Training compute at which models of the best size for their compute reach the loss of the "
        "explained model, divided by that at which they reach the loss of the intact one, by the law "
        "E + A·C^(−α).",
    ),
    (
        "bend",
        "By the bend",
        "The frontier share by a curve whose exponent moves with compute. Where it differs from the "
        "law's, take that of the curve which foretells the rungs better.",
    ),
    (
        "between rungs",
        "Between rungs",
        "The frontier share read straight between neighbouring rungs instead of off a curve. Where "
        "they differ, the curve is at fault.",
    ),
    (
        "own run",
        "Own-run share",
        "Share of the model's own training steps after which it was as good, its learning rate "
        "still high.",
    ),
    (
        "annealed",
        "Annealed share",
        "Share of its training steps that a model of its size takes to be as good when the learning "
        "rate is brought to zero at their end.",
    ),
    (
        "data",
        "Data share",
        "Share of its training tokens on which a model of its size is as good, from a surface of "
        "loss over size and tokens that was fitted to other sizes too.",
    ),
)
"""The kinds of share, what heads their columns and what each means."""
STEPS = 24
"""Corners of a curve where it goes on beyond what was fitted."""
BEYOND = 1.4
"""Decades that it goes on."""
NO_LADDER = (
    "The ladder that ships has other tokens than this model and no family of weaker models was given "
    "(--family MODEL=FLOPS, or family= in Python), so that losses have no place on a scale of training "
    "compute."
)


def everyone(scale: Scale) -> tuple[Explained, ...]:
    """The intact model first, then all others."""
    return (*((scale.subject,) if scale.subject else ()), *scale.explained)


def kinds(scale: Scale) -> tuple[tuple[ShareKind, str, str], ...]:
    """The kinds of share that a scale has: older ones know none by a bend, families none of own runs."""
    found = {kind for one in everyone(scale) for kind in one.shares}
    ladder = found & {"own run", "annealed", "data"}
    return tuple(e for e in SHARES if e[0] in found or (ladder and e[0] != "bend"))


def note(one: Explained, scale: Scale) -> str:
    """What is to be said of a place on the curve, and of the shares that are made of it."""
    said = ""
    if scale.extrapolated(one):
        said = "extrapolated" if "extrapolated" not in one.note.lower() else ""
    elif any(scale.extrapolated(one, kind) for kind in one.shares):
        said = "shares by a curve: of what is extrapolated"
    return "; ".join(part for part in (said, one.note) if part)


def compute(scale: Scale, roles: Mapping[str, Role], *, asked: str = "") -> Section:
    """The section of training compute.

    Args:
        scale: The ladder on one text, with the conditions on it.
        roles: What each condition stands for, by name.
        asked: Instead of the paragraph that says what the scale answers.

    Returns:
        A section with the key `compute`: a picture and tables of conditions, rungs, the law and of
        each rung foretold from the others.
    """
    conditions, rungs = _conditions(scale, roles), _rungs(scale)
    says = asked or (
        "With how many FLOPs of training would one buy the loss that is left? A ladder of models, "
        "each trained with several times the compute of the one before, says what loss a compute "
        "buys; a curve through its rungs is read backwards."
    )
    blocks: list[Block] = [Prose(words=f"{says} {scale.says}")]
    if scale.law is None:
        words = f"There is no curve: {scale.refused.rstrip('.')}. Without one no loss has a place on this scale."
        blocks.append(Prose(words=words, manner="aside"))
    blocks.append(_picture(scale, roles, conditions, rungs))
    if conditions.rows:
        blocks.append(conditions)
    blocks += [
        Prose(words=f"{heading}: {meaning}", manner="aside") for _, heading, meaning in kinds(scale)
    ]
    blocks.append(rungs)
    if scale.law is not None:
        blocks.append(_law(scale, scale.law))
    if scale.scatter:
        blocks.append(
            Prose(words=f"{scale.scatter[:1].upper()}{scale.scatter[1:]}.", manner="aside")
        )
    if scale.left:
        blocks.append(_left_out(scale))
    return Section(key="compute", title="The scale of training compute", blocks=tuple(blocks))


def answered(scale: Scale | None, name: str, columns: int) -> list[AnswerRow]:
    """How much of the model's compute a condition keeps: a row beside an answer of so many columns.

    Without a curve why there is none; without a scale no row.
    """
    if scale is None:
        return []
    kind = scale.kind if scale.law is not None else "equals"
    cells = (f"compute/conditions/{step(name)}/{kind}", *(None,) * (columns - 1))
    words = f"{name[:1].upper()}{name[1:]}: left of its training compute"
    return [AnswerRow(name=words, cells=cells)]


def _named(one: Explained, scale: Scale) -> str:
    """Its name; the intact model's says that it is that."""
    if one is not scale.subject or one.condition == "intact":
        return one.condition
    return f"{one.condition} (intact)"


def _role(one: Explained, scale: Scale, roles: Mapping[str, Role]) -> Role:
    return "intact" if one is scale.subject else roles.get(one.condition, "baseline")


def _key(one: Explained, scale: Scale) -> str:
    return "intact" if one is scale.subject else one.condition


def _conditions(scale: Scale, roles: Mapping[str, Role]) -> Table:
    return Table(
        key="conditions",
        caption="“As good as” is the training compute at which the curve has that loss."
        + " The shares answer different questions and differ by orders of magnitude."
        * bool(kinds(scale)),
        corner="Condition",
        columns=(
            Column(key="loss", heading="Loss", note=scale.unit),
            Column(key="equals", heading="As good as a model trained with, FLOPs", style="compute"),
            *(
                Column(key=kind, heading=heading, style="portion")
                for kind, heading, _ in kinds(scale)
            ),
        ),
        rows=tuple(
            Row(
                key=_key(one, scale),
                name=_named(one, scale),
                note=note(one, scale),
                role=_role(one, scale, roles),
                cells=(
                    one.loss,
                    one.equals,
                    *(one.shares.get(kind) for kind, _, _ in kinds(scale)),
                ),
            )
            for one in everyone(scale)
        ),
    )


def _rungs(scale: Scale) -> Table:
    return Table(
        key="rungs",
        title="The rungs",
        corner="Rung",
        columns=(
            Column(key="compute", heading="Training compute, FLOPs", style="compute"),
            Column(key="parameters", heading="Parameters"),
            Column(key="tokens", heading="Tokens of training"),
            Column(key="loss", heading="Loss", note=scale.unit),
        ),
        rows=tuple(
            Row(key=r.name, name=r.name, role="weaker",
                cells=(r.compute, r.parameters or None, r.tokens or None, r.loss))
            for r in scale.rungs
        ),
        folded=True,
    )  # fmt: skip


def _picture(scale: Scale, roles: Mapping[str, Role], conditions: Table, rungs: Table) -> Compute:
    return Compute(
        key="curve",
        unit=scale.unit,
        law=_line(scale, "law"),
        bend=_line(scale, "bend"),
        chosen=scale.form,
        fitted=(scale.law.least, scale.law.greatest) if scale.law else None,
        rungs=tuple(
            OnCurve(name=r.name, role="weaker", loss=rungs.at(r.name, "loss"), compute=r.compute,
                    rung=r.rung)
            for r in scale.rungs
        ),
        conditions=tuple(
            OnCurve(
                name=_named(one, scale),
                role=_role(one, scale, roles),
                loss=conditions.at(_key(one, scale), "loss"),
                compute=conditions.at(_key(one, scale), "equals"),
                extrapolated=scale.extrapolated(one),
            )
            for one in everyone(scale)
        ),
    )  # fmt: skip


def _line(scale: Scale, form: str) -> tuple[CurvePoint, ...]:
    """A curve's points with their intervals, and its bare formula beyond them."""
    curve = scale.bend if form == "bend" else scale.law
    if curve is None or not curve.line:
        return ()
    known = sorted(curve.line, key=lambda point: point.compute)
    first, last = known[0].compute, known[-1].compute
    return (
        *_beyond(scale, form, first / 10**BEYOND, first)[:-1],
        *known,
        *_beyond(scale, form, last, last * 10**BEYOND)[1:],
    )


def _beyond(scale: Scale, form: str, start: float, end: float) -> Sequence[CurvePoint]:
    computes = [start * (end / start) ** (i / STEPS) for i in range(STEPS + 1)]
    losses = [(c, _loss(scale, form, c)) for c in computes]
    return [CurvePoint(compute=c, loss=loss) for c, loss in losses if loss is not None]


def _loss(scale: Scale, form: str, compute: float) -> float | None:
    """The bare formula, where the record has its numbers."""
    if form == "bend":
        return scale.bend.loss(compute) if scale.bend else None
    law = scale.law
    if law is None or law.floor.value is None or law.exponent.value is None:
        return None
    return law.floor.value + math.exp(law.scale - law.exponent.value * math.log(compute))


def _law(scale: Scale, law: FittedLaw) -> Table:
    from unexplained.curves.choice import ERROR_RATIO  # not above: it imports scipy

    rows = [
        fact("floor", "Irreducible loss E", law.floor, "L(C) = E + A·C^(−α)"),
        fact("exponent", "Exponent α", law.exponent),
    ]
    bend = scale.bend
    if bend is not None:
        shift = bend.form == "shift"
        formula = "L(C) = A·(C + C₀)^(−α)" if shift else "ln L quadratic in ln C"
        name = "α of the shift" if shift else "Exponent of the bend"
        rows += [
            fact("bend-exponent", name, bend.exponent, formula),
            fact("middle", "That at a compute of, FLOPs", None if shift else fmt.power(bend.middle)),
            fact("bends", "C₀ of the shift" if shift else "Second order of the bend", bend.bends),
            fact("chosen", "Chosen, by how well each foretells a rung from the others",
                 "the bend" if scale.form == "bend" else "the law",
                 f"another form than the law only where it is off by less than {ERROR_RATIO:g} times as much"),
        ]  # fmt: skip
    off = {"law": law.left_out, "bend": bend.left_out if bend else None}
    rows += [
        fact(f"off-{form}", f"A rung from the others, by the {form}: off by", _off(error))
        for form, error in off.items()
        if error is not None
    ]
    noise = bend.noise if scale.form == "bend" and bend else law.noise
    rows += [
        fact("range", "Fitted range", f"{fmt.power(law.least)} to {fmt.power(law.greatest)} FLOPs"),
        fact("scatter", "Scatter about the curve", _scatter(noise)),
    ]
    return facts("law", *rows, title="The curve")


def _scatter(noise: float | None) -> str:
    """How far single runs lie about the curve, where anything is left over to tell it from."""
    if noise is None:
        return "cannot be told: three rungs are just enough for a curve of three numbers"
    return f"{_off(noise)} of a loss"


def _off(error: float | None) -> str:
    return fmt.MISSING if error is None else fmt.portion(Number(value=error, unit="share")).value


def _left_out(scale: Scale) -> Table:
    return Table(
        key="left-out",
        title="How far the curve can be trusted",
        caption=f"Each rung left out in turn, its loss put to the curve through the others. {_held(scale)}",
        corner="Rung left out",
        columns=(
            Column(key="loss", heading="Loss measured"),
            Column(key="predicted", heading="Loss predicted"),
            Column(key="compute", heading="Its compute, FLOPs", style="compute"),
            Column(key="equals", heading="Compute by the other rungs", style="compute"),
            Column(key="factor", heading="Of its own", words=True),
            Column(key="holds", heading="Interval holds it", words=True),
        ),
        rows=tuple(
            Row(
                key=left.rung,
                name=left.rung,
                note="end of the ladder: extrapolated" if left.outside else "",
                cells=(left.loss, left.predicted, left.compute, left.equals, _factor(left),
                       {None: fmt.MISSING, True: "yes", False: "no"}[covered(left)]),
            )
            for left in scale.left
        ),
        folded=True,
    )  # fmt: skip


def covered(left: LeftOutRung) -> bool | None:
    """Whether the interval from the other rungs holds a rung's true compute; None without one."""
    number = left.equals
    if number.value is None or (number.low is None and number.high is None):
        return None
    above = number.low is None or number.low <= left.compute
    return above and (number.high is None or left.compute <= number.high)


def _factor(left: LeftOutRung) -> str:
    """How far a rung's compute by the others is from its own."""
    value = left.equals.value
    if value is None or not math.isfinite(value) or left.compute <= 0:
        return ""
    return f"{value / left.compute:#.2g} times".replace(". ", " ")


def _held(scale: Scale) -> str:
    """In how many cases the others' interval held a rung's compute."""
    known = [(found, left) for left in scale.left if (found := covered(left)) is not None]
    if not known:
        return ""
    right, ends = sum(found for found, _ in known), sum(left.outside for _, left in known)
    words = f"The interval holds the rung's own compute in {right} of {len(known)} cases"
    if not ends:
        return words + "."
    return (
        f"{words}; {ends} of the {len(known)} are ends of the ladder, extrapolated by the others."
    )
