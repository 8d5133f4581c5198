"""What the tables of bars, weaker models and training compute say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from unexplained.record import Bars, Explained, Number, Scale, ShareKind
from unexplained.record import format as fmt
from unexplained.record.bars import Comparison, RungBar, Standing
from unexplained.record.compute import Left
from unexplained.report import compute

ALL = ("all", "all")
"""Family and label of all tokens together."""
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
STANDINGS: dict[Standing, str] = {
    "beats": "lower loss",
    "ties": "not told apart",
    "loses": "higher loss",
    "unknown": "no interval",
}
"""A condition's loss beside a weaker model's, in words."""


@dataclass(frozen=True)
class Line:
    """A row of the table of fractions recovered: a condition, or a weaker model with its own r."""

    name: str
    rung: bool
    loss: Number
    place: str
    recovered: tuple[Number | None, ...]


@dataclass(frozen=True)
class Group:
    """The bars of all conditions on some of the tokens."""

    family: str
    label: str
    tokens: int
    bars: tuple[Bars, ...]

    @property
    def whole(self) -> bool:
        """Whether these are all tokens."""
        return (self.family, self.label) == ALL

    @property
    def baselines(self) -> tuple[str, ...]:
        """The baselines of any condition, in order of appearance."""
        return tuple(dict.fromkeys(one.baseline for bars in self.bars for one in bars.baselines))

    @property
    def rungs(self) -> tuple[RungBar, ...]:
        """The weaker models, weakest first; loss, gap and r are theirs, whatever the condition."""
        found: dict[str, RungBar] = {}
        for bars in self.bars:
            for one in bars.rungs:
                found.setdefault(one.rung, one)
        return tuple(found.values())

    @property
    def levels(self) -> tuple[str, str] | None:
        """Of all comparisons of a condition together, and of each one's interval."""
        places = [bars.place for bars in self.bars if bars.place]
        if not places:
            return None
        return (
            fmt.tick(places[0].level, share=True),
            fmt.tick(round(places[0].each, 4), share=True),
        )

    @property
    def lines(self) -> tuple[Line, ...]:
        """Conditions and weaker models together, the highest loss first."""
        weaker = [
            Line(one.rung, True, one.loss, "", tuple(one.share.get(b) for b in self.baselines))
            for one in self.rungs
        ]
        lines = [*weaker, *(self._line(bars) for bars in self.bars)]
        return tuple(
            sorted(lines, key=lambda x: (x.loss.value is None, -(x.loss.value or 0.0), not x.rung))
        )

    def _line(self, bars: Bars) -> Line:
        by_name = {one.baseline: one.recovered for one in bars.baselines}
        place = bars.place.place if bars.place else fmt.MISSING
        numbers = tuple(by_name.get(name) for name in self.baselines)
        return Line(bars.condition, False, bars.loss, place, numbers)

    def damage(self, baseline: str) -> Number | None:
        """What a baseline costs: the denominator of its column."""
        every = (one for bars in self.bars for one in bars.baselines)
        return next((one.damage for one in every if one.baseline == baseline), None)


def groups(text: compute.Measured) -> tuple[Group, ...]:
    """The bars by the tokens that they are taken on, all tokens first."""
    found: dict[tuple[str, str], list[Bars]] = {}
    for bars in text.bars:
        found.setdefault((bars.family, bars.label), []).append(bars)
    ordered = sorted(found.items(), key=lambda item: item[0] != ALL)
    return tuple(Group(*key, bars[0].tokens, tuple(bars)) for key, bars in ordered)


def score(bars: Bars, rung: str) -> Number | None:
    """A condition's gap score against a weaker model."""
    return next((one.score for one in bars.rungs if one.rung == rung), None)


def comparison(bars: Bars, rung: str) -> Comparison | None:
    """A condition beside a weaker model."""
    every = bars.place.comparisons if bars.place else ()
    return next((one for one in every if one.rung == rung), None)


def hover(one: Comparison) -> str:
    """What a gap score says when one points at it."""
    return f"its loss minus that of {one.rung}: {fmt.show(one.difference)} nats per token"


def distances(group: Group) -> tuple[float, ...]:
    """The bars that fractions against any baseline are measured against, ascending."""
    every = (one for bars in group.bars for one in bars.baselines)
    return tuple(sorted({float(name) for one in every for name in one.distances}))


def distance(one: dict[str, Number], bar: float) -> Number | None:
    """The distance to a bar, however the bar was written."""
    return next((number for name, number in one.items() if float(name) == bar), None)


def note(one: Explained, scale: Scale) -> str:
    """What is to be said of a place on the curve."""
    far = compute.extrapolated(one, scale.law) and "extrapolated" not in one.note.lower()
    return "; ".join(part for part in ("extrapolated" if far else "", one.note) if part)


def named(one: Explained, scale: Scale) -> str:
    """Its name; the intact model's says that it is that."""
    if one is not scale.subject or one.condition == "intact":
        return one.condition
    return f"{one.condition} (intact)"


def noise(scale: Scale) -> str:
    """The spread from run to run, about the curve that was chosen."""
    one = scale.bend if scale.form == "bend" and scale.bend else scale.law
    return _percent(one.noise) if one else ""


def off(error: float | None) -> str:
    """How far off a rung is foretold from the others."""
    return fmt.MISSING if error is None else _percent(error)


def _percent(value: float) -> str:
    return str(fmt.portion(Number(value=value, unit="share")).value)


def kinds(scale: Scale) -> tuple[tuple[ShareKind, str, str], ...]:
    """The kinds of share that a record has: older ones know none by a bend."""
    every = compute.everyone(scale)
    return tuple(
        entry for entry in SHARES
        if entry[0] != "bend" or any(entry[0] in one.shares for one in every)
    )  # fmt: skip


def covered(left: Left) -> bool | None:
    """Whether the interval from the other rungs holds a rung's true compute; None without one."""
    number = left.equals
    if number.value is None or (number.low is None and number.high is None):
        return None
    above = number.low is None or number.low <= left.compute
    return above and (number.high is None or left.compute <= number.high)


def factor(left: Left) -> str:
    """How far a rung's compute by the others is from its own.

    >>> zero = Number(value=0.0)
    >>> factor(Left(rung="3", loss=zero, predicted=zero, compute=2e12,
    ...             equals=Number(value=3e12), outside=False))
    '1.5 times its own'
    """
    value = compute.finite(left.equals)
    if value is None or left.compute <= 0:
        return ""
    return f"{value / left.compute:#.2g} times its own".replace(". ", " ")


def held(scale: Scale) -> str:
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


def shown_kinds(scale: Scale) -> tuple[tuple[ShareKind, str, str], ...]:
    """The kinds of share that some condition has: the terminal leaves the others out."""
    return tuple(
        entry
        for entry in kinds(scale)
        if any(
            (share := one.shares.get(entry[0])) is not None and share.value is not None
            for one in compute.everyone(scale)
        )
    )


def why_none(scale: Scale, kind: ShareKind) -> str:
    """Why no condition has a share of a kind: the reasons, each once."""
    found = (one.shares.get(kind) for one in compute.everyone(scale))
    return "; ".join(dict.fromkeys(share.refused for share in found if share is not None))


def numbers(text: compute.Measured) -> Iterator[Number | None]:
    """Every number that the page shows of bars and compute, in its order."""
    scale = text.scale
    if scale:
        for one in compute.everyone(scale):
            yield from (
                one.loss,
                one.equals,
                *(one.shares.get(kind) for kind, _, _ in kinds(scale)),
            )
        if scale.law:
            yield from (scale.law.floor, scale.law.exponent)
        if scale.bend:
            yield from (scale.bend.exponent, scale.bend.bends)
        for left in scale.left:
            yield from (left.loss, left.predicted, left.equals)
    for group in groups(text):
        yield from (group.damage(name) for name in group.baselines)
        for line in group.lines:
            yield from (line.loss, *line.recovered)
        for rung in group.rungs:
            yield from (rung.gap, *(rung.share.get(name) for name in group.baselines))
        for bars in group.bars:
            yield from (one.score for one in bars.rungs)
            for base in bars.baselines:
                yield from (base.nines, *base.distances.values())


def in_short(text: compute.Measured) -> Iterator[Number | None]:
    """Every number of these that the terminal shows, in its order."""
    if text.scale:
        for one in compute.everyone(text.scale):
            yield one.equals
            yield from (one.shares.get(kind) for kind, _, _ in shown_kinds(text.scale))
    for group in groups(text):
        if group.whole:
            for bars in group.bars:
                yield from (one.recovered for one in bars.baselines)
                yield from (one.score for one in bars.rungs)
