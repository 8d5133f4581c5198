"""A model of attention alone as paths, as blocks: terms, what some of them carry of a head, how weights meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unexplained.bars.reading import Reading
from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Block,
    Cell,
    Column,
    Prose,
    Row,
    Section,
    Table,
    fact,
    facts,
)
from unexplained.record.keys import step
from unexplained.shares import untold
from unexplained.stats import Settings, mean_per_token

LOGITS = "logits"
SCORES = "score"
MOST = 3
"""Heads that the answer names: of those that are worth something."""
SHOWN = 12
"""Paths that are shown unasked."""


@dataclass(frozen=True)
class PathsKept:
    """A way of keeping paths, as a column."""

    key: str
    term: str
    """Its name among the arms."""
    heading: str


@dataclass(frozen=True)
class HeadWeights:
    """What the weights alone say of one head."""

    composition: Mapping[str, tuple[float, float]]
    """Earlier head and which of K, Q, V → score by the random matrices' mean, and their greatest by it."""
    matches: Mapping[int, float]
    """Distance → share of tokens whose own earlier occurrence scores highest, tokens as rewritten."""
    matches_embedded: float
    """The same as they are embedded, at one distance."""
    copies: tuple[float, float]
    """Share of tokens whose own logit is raised most: as rewritten, and as embedded."""


@dataclass(frozen=True)
class Paths:
    """All that was found of one model on one text."""

    read: Reading
    heads: tuple[str, ...]
    """Those of later layers."""
    columns: tuple[PathsKept, ...]
    previous: str
    """The head of an earlier layer that looks most at the position before."""
    share: float
    """By how much (of its attention)."""
    is_there: bool
    """Whether that is most of it."""
    own: tuple[str, ...]
    """Earlier heads that look mostly at their own position."""
    wrong: str
    """The head in its place in the control."""
    settings: Settings

    @property
    def ranked(self) -> list[str]:
        """The heads that matter most first."""
        worth = {head: self.read.damage(head) for head in self.heads}
        return sorted(self.heads, key=lambda head: -(worth[head].value or 0.0))

    def kept(self, head: str, column: PathsKept) -> Number:
        """Share of a head's worth that a term carries."""
        return self.read.recovered(f"{column.term} at {head}", head)

    def answer(self) -> Answer:
        """The heads that matter most, and what the induction term carries of each."""
        shown = ("strict", "token", "without")
        columns = [c for c in self.columns if c.key in shown]
        worth = [head for head in self.ranked if self.read.damage(head).above_zero]
        heads = (worth or self.ranked[:1])[:MOST]
        return Answer(
            corner="Head",
            columns=(Column(key="worth", heading="Worth"), *(Column(key=c.key, heading=c.heading, style="share") for c in columns)),
            rows=tuple(
                AnswerRow(name=head, cells=tuple(f"kept/shares/{step(head)}/{key}" for key in ("worth", *(c.key for c in columns))))
                for head in heads
            ),
            beside=(AnswerRow(name="Sum of all paths: off the model's logits by at most", cells=("facts/error/is", *[None] * len(columns))),),
            says="Worth: nats per token that mean ablation of the head costs. Then the share of it that is left where of the "
            f"head only the induction term is kept (the token before, as {self.previous} wrote it), or all but it.",
        )  # fmt: skip

    def facts(
        self, model: str, text: str, predictions: int, paths: int, error: float, logit: float
    ) -> Table:
        """What was measured."""
        there = "" if self.is_there else "; that is little: no head here is a previous-token head"
        return facts(
            "facts",
            fact("model", "Model", model),
            fact("text", "Text", text),
            fact("predictions", "Predictions", predictions),
            fact("paths", "Paths", paths, "chains of heads, the direct one among them; the biases are one term more"),
            fact("error", "Sum of all terms: off the model's logits by at most", Number(value=error, unit=LOGITS),
                 f"logits; they are of up to {logit:.3g}, and this is rounding"),
            fact("previous", "Head taken for a previous-token head", self.previous,
                 f"{self.share:.0%} of its attention is on the position before{there}; found on the fit part"),
            fact("own", "Earlier heads that rewrite tokens", ", ".join(self.own) or "none",
                 "more than half of their attention is on their own position; found on the fit part"),
            fact("wrong", "Head in its place in the control", self.wrong),
        )  # fmt: skip

    def shares(self) -> Section:
        """Every head, and every way of keeping paths."""
        columns = (
            Column(key="worth", heading="Worth"),
            *(Column(key=c.key, heading=c.heading, style="share") for c in self.columns),
        )
        rows = tuple(
            Row(key=head, name=head, cells=(self.read.damage(head), *(self.kept(head, c) for c in self.columns)))
            for head in self.ranked
        )  # fmt: skip
        words = (
            "Of a head's scores, values, or both only some paths are kept; what else it writes is put at its mean, so that "
            "with nothing kept this is mean ablation (0%) and with everything the model (100%). The induction term, by the "
            f"textbook: queries of the token's own embedding, keys of what {self.previous} wrote (the token before), values of "
            "the embedding. Tokens rewritten: the token also as heads that look at their own position write it on. Biases: "
            "what comes from no token, in queries and keys too. Scores or values alone: the other is whole. All but it: every "
            f"product in the scores but the term's. Through {self.wrong}: tokens rewritten, but keys of what that head wrote, a "
            "control. A term that is needed can still do harm alone: nothing then tells it when "
            "to be silent."
        )
        table = Table(key="shares", corner="Head", columns=columns, rows=rows)
        return Section(
            key="kept", title="What the induction term carries", blocks=(Prose(words=words), table)
        )

    def scores(
        self, head: str, sums: NDArray[np.float64], positions: NDArray[np.float64],
        queries: Sequence[str], keys: Sequence[str],
    ) -> Section:  # fmt: skip
        """What a head's preference for the induction target is made of, (document, query part, key part)."""
        found: list[tuple[str, Number]] = [
            (f"{query} × {key}", self._score(sums[:, i, j], positions))
            for i, query in enumerate(queries)
            for j, key in enumerate(keys)
        ]
        found.sort(key=lambda one: -abs(one[1].value or 0.0))
        total = self._score(sums.sum((1, 2)), positions)
        rows = [Row(key="all", name="All terms: the head's own", cells=(total,))]
        rows += [Row(key=step(name), name=name, cells=(number,)) for name, number in found]
        words = (
            f"By how much {head} scores the position after an earlier occurrence of the current token above all other "
            "positions, before its softmax, by what the query and what the key holds. The terms add up."
        )
        table = Table(
            key="terms",
            corner="Query × key",
            columns=(Column(key="score", heading="Score"),),
            rows=tuple(rows),
        )
        return Section(
            key="scores", title=f"What {head} looks for", blocks=(Prose(words=words), table)
        )

    def _score(self, sums: NDArray[np.float64], positions: NDArray[np.float64]) -> Number:
        return mean_per_token(sums, positions, settings=self.settings, unit=SCORES)

    def weights(self, found: Mapping[str, HeadWeights], distance: int) -> Section:
        """What the weights alone say, heads by composition with the previous-token head."""
        ranked = sorted(found, key=lambda head: -found[head].composition[f"{self.previous} K"][0])

        def cells(head: str) -> tuple[Cell, ...]:
            one = found[head]
            match, copy = (one.matches[distance], one.matches_embedded), one.copies
            of = [one.composition[f"{self.previous} {which}"][0] for which in "KQV"]
            drawn = max(one.composition[f"{self.previous} {which}"][1] for which in "KQV")
            return (*of, drawn, *match, *copy)

        heads = (
            ("k", "Keys", "Times random"), ("q", "Queries", "Times random"), ("v", "Values", "Times random"),
            ("drawn", "Most random", "Times random"),
            ("match", "Rewritten", "Matches"), ("match-strict", "Embedded", "Matches"),
            ("copy", "Rewritten", "Copies"), ("copy-strict", "Embedded", "Copies"),
        )  # fmt: skip
        columns = tuple(
            Column(key=k, heading=h, group=g, style="plain" if g == "Times random" else "share") for k, h, g in heads
        )  # fmt: skip
        words = (
            f"No text is read. Times random: how much of what {self.previous} writes the head's keys, queries and values read "
            "(‖AB‖ / ‖A‖‖B‖), by what they would read if it wrote as much in random directions; beside it the most of 100 such "
            f"draws. Queries and keys at a distance of {distance}. Matches: share of tokens for which, of all tokens, their own "
            f"as {self.previous} hands it on is the key that their query scores highest. Copies: share of tokens whose own logit "
            "the head raises most where it attends to them."
        )
        blocks: list[Block] = [
            Prose(words=words),
            Table(key="previous", corner="Head", title=f"With {self.previous}", columns=columns,
                  rows=tuple(Row(key=head, name=head, cells=cells(head)) for head in ranked)),
            self._by_distance(found, ranked),
            self._pairs(found, ranked),
        ]  # fmt: skip
        return Section(key="weights", title="What the weights alone say", blocks=tuple(blocks))

    def _by_distance(self, found: Mapping[str, HeadWeights], ranked: Sequence[str]) -> Table:
        distances = tuple(found[ranked[0]].matches)
        return Table(
            key="distance", corner="Head", title="Matches by distance, tokens rewritten",
            columns=tuple(Column(key=f"d{d}", heading=str(d), style="share") for d in distances),
            rows=tuple(
                Row(key=head, name=head, cells=tuple(found[head].matches[d] for d in distances))
                for head in ranked
            ),
        )  # fmt: skip

    def _pairs(self, found: Mapping[str, HeadWeights], ranked: Sequence[str]) -> Table:
        rows = []
        for head in ranked:
            for earlier in dict.fromkeys(name.split()[0] for name in found[head].composition):
                of = found[head].composition
                several = tuple(of[f"{earlier} {which}"][0] for which in "KQV")
                most = max(of[f"{earlier} {which}"][1] for which in "KQV")
                rows.append(
                    Row(
                        key=f"{step(earlier)}-{step(head)}",
                        name=f"{earlier} → {head}",
                        cells=(*several, most),
                    )
                )
        columns = tuple(
            Column(key=k, heading=h)
            for k, h in (("k", "Keys"), ("q", "Queries"), ("v", "Values"), ("drawn", "Most random"))
        )
        return Table(
            key="pairs",
            corner="Pair",
            title="Every pair: times random",
            columns=columns,
            rows=tuple(rows),
            folded=True,
        )

    def terms(
        self, names: Sequence[str], right: NDArray[np.float64], without: NDArray[np.float64], tokens: NDArray[np.float64]
    ) -> Section:  # fmt: skip
        """All terms of the logits, (document, term) sums; those that cost most to leave out first."""
        order = np.argsort(-without.sum(0), kind="stable")

        def table(key: str, title: str, some: NDArray[np.int64], folded: bool) -> Table:
            rows = tuple(
                Row(key=step(names[i]), name=names[i], cells=(
                    mean_per_token(without[:, i], tokens, settings=self.settings),
                    mean_per_token(right[:, i], tokens, settings=self.settings, unit=LOGITS)))
                for i in some
            )  # fmt: skip
            columns = (
                Column(key="without", heading="Lost without it"),
                Column(key="right", heading="Right token"),
            )
            return Table(
                key=key, title=title, corner="Path", columns=columns, rows=rows, folded=folded
            )

        words = (
            "Each path's part of the logits, given where every head attends and what every norm multiplies by. Right token: "
            "what it adds to that token's logit above the mean of all tokens (logits). Lost without it: what leaving it out "
            "alone costs (nats per token), patterns and scales as they are. A path is one of the terms of a product: that it "
            "is there does not say that it is what the head does."
        )
        blocks: list[Block] = [
            Prose(words=words),
            table("first", "Those that cost most to leave out", order[:SHOWN], False),
        ]
        if len(order) > SHOWN:
            blocks.append(table("rest", "The others", order[SHOWN:], True))
        return Section(key="paths", title="Paths", blocks=tuple(blocks))

    def verdict(self, terms: int, error: float) -> str:
        """In plain words."""
        first = self.ranked[0]
        by = {column.key: column for column in self.columns}
        said = f"{terms} terms add up to the logits (off by at most {fmt.nats(error)}). "
        if not self.is_there:
            said += f"No earlier head looks mostly at the position before (the most: {self.previous}, {self.share:.0%}). "
        worth, strict, token, rest = (
            self.read.damage(first),
            *(self.kept(first, by[key]) for key in ("strict", "token", "without")),
        )
        if why := untold(worth) or untold(strict) or untold(token) or untold(rest):
            return f"{said}What the induction term carries of {first} is refused: {why}."
        through = (
            f", {fmt.show(token)} where heads that look at their own position rewrite the tokens"
            if self.own
            else ""
        )
        return (
            f"{said}Of what {first} is worth ({fmt.written(worth)} nats per token) the textbook induction "
            f"term alone carries {fmt.show(strict)}{through}; all but it {fmt.show(rest)}."
        )
