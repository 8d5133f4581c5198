"""A claim's intermediates as they are shown: each against the site that it is claimed of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unexplained.record import Number
from unexplained.record.blocks import Column, Prose, Row, Section, Table
from unexplained.record.format import written
from unexplained.shares import percent

RIGHT = 0.9
"""Share of a site that an intermediate says for which nobody calls it wrong."""
DOUBLED = "doubled"
"""How the change is called whose answer a norm in between bends: no verdict rests on it."""
_SAYS = (
    "Each intermediate stands against what the model holds at its own site (a pattern by what it makes of the "
    "head's own values, z): the variance over tokens, and what changes there where the site that it reads is "
    "another document's or twice as large (of a right claim too, a norm in between makes less than twice of "
    "that). Intermediates are in their sites' own coordinates, "
    "or through a map that their code has: with a free affine map twice and three times a value are one claim."
)


@dataclass(frozen=True)
class Followed:
    """How one step stands to the model's site, as it is or under a change."""

    step: str
    at: str
    changed: str
    """What is changed in the model; empty where nothing is."""
    share: Number
    """Of the variance of what the site holds, or of what the change changes there, the share that the step says."""
    times: Number
    """So many times what the step says (least squares) is what the site holds, or how it changes."""

    @property
    def key(self) -> str:
        """By which its row stands."""
        return f"{self.at} {self.changed}".strip()


def steps(every: Sequence[Followed]) -> Section:
    """A row for each step and change."""
    table = Table(
        key="sites",
        corner="Claimed of",
        columns=(
            Column(key="changed", heading="Changed in the model", words=True),
            Column(key="share", heading="It says", style="share"),
            Column(key="times", heading="The site holds times that"),
        ),
        rows=tuple(
            Row(key=one.key, name=one.at, note=one.step, role="explanation",
                cells=(one.changed or "nothing", one.share, one.times))
            for one in every
        ),
    )  # fmt: skip
    return Section(
        key="steps", title="Intermediates, each by itself", blocks=(table, Prose(words=_SAYS))
    )


def least(every: Sequence[Followed]) -> Followed | None:
    """That of which least is said, where anything is; of what is doubled nothing is judged."""
    told = [one for one in every if one.share.value is not None and not _doubled(one)]
    return min(told, key=lambda one: one.share.value or 0.0, default=None)


def said(every: Sequence[Followed]) -> str:
    """In a sentence, of what is wrong the first in the pass; nothing of a claim without intermediates."""
    if not every:
        return ""
    one = least(every)
    if one is None:
        return " What its intermediates say of their sites is refused throughout."
    wrong = [
        one
        for one in every
        if one.share.high is not None and one.share.high < RIGHT and not _doubled(one)
    ]
    if not wrong:
        return f" Of its intermediates least is right {_what(one)}."
    others = dict.fromkeys(one.at for one in wrong[1:] if one.at != wrong[0].at)
    more = f"; what is wrong at {', '.join(others)} comes after it" if others else ""
    return f" Inside it is wrong: {_what(wrong[0])}{more}."


def _what(one: Followed) -> str:
    """What a step says of its site."""
    where = (
        f"where {one.changed} stands there, of what changes at {one.at}"
        if one.changed
        else f"of {one.at}"
    )
    holds = f"'{one.step}' says {percent(one.share)}"
    if one.times.value is not None:
        holds += f", and the site holds {written(one.times, spec='.2f')} times what it says"
    return (
        f"{where}: {holds}"
        if one.share.high is None or one.share.high >= RIGHT
        else f"{where} {holds}"
    )


def _doubled(one: Followed) -> bool:
    return one.changed.endswith(DOUBLED)
