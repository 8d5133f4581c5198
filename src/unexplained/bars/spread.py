"""How concentrated a gap is, as blocks: the curve, both orders, signs, and claims on crucial tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.bars import Concentration, OnCrucial
from unexplained.record.blocks import (
    Block,
    Chart,
    Column,
    Point,
    Prose,
    Row,
    Ruler,
    Section,
    Series,
    Table,
    fact,
    facts,
)

ORDERS = ("by the second pair", "by the models' own gap")
"""Headings of the two orders, side by side."""
LOWEST, HIGHEST = -0.5, 3.0
"""Shares of the net gap beyond which the chart does not go: chance alone can bring a curve there."""


def curve(by_second: Concentration, own: Concentration) -> Section:
    """What share of the gap the first so many tokens carry, in both orders: chart and numbers."""
    one, two = (
        {point.tokens: point.carries for point in spread.curve} for spread in (by_second, own)
    )
    table = Table(
        key="curve",
        title="The curve in numbers",
        caption="Share of the net gap carried by the first so many tokens.",
        corner="First tokens",
        columns=(
            Column(key="second", heading=ORDERS[0]),
            Column(key="own", heading=ORDERS[1], note="flattered by chance"),
        ),
        rows=tuple(
            Row(key=f"{at:g}", name=fmt.part(at), cells=(one.get(at), two.get(at)))
            for at in sorted({*one, *two})
        ),
        folded=True,
    )

    def series(name: str, key: str, spread: Concentration, dashed: bool) -> Series:
        return Series(
            name=name,
            role="baseline" if dashed else "",
            dashed=dashed,
            band=not dashed,
            start=(0.0, 0.0),
            points=tuple(Point(x=p.tokens, y=table.at(f"{p.tokens:g}", key)) for p in spread.curve),
        )

    chart = Chart(
        key="chart",
        caption="Above 100% where the tokens that follow give some of it back. Dotted diagonal: "
        "an even gap.",
        across=Ruler(label="share of the tokens, largest gap first", written="share",
                     solid=(0.0, 1.0), least=0.0, most=1.0),
        up=Ruler(label="share of the net gap that these tokens carry", written="share",
                 solid=(0.0, 1.0), least=LOWEST, most=HIGHEST),
        series=(
            series(ORDERS[0], "second", by_second, False),
            series(f"{ORDERS[1]}: flattered by chance", "own", own, True),
        ),
        line=(0.0, 0.0, 1.0, 1.0),
        line_name="an even gap",
    )  # fmt: skip
    return Section(
        key="curve",
        title="A few tokens, or a little on every one?",
        blocks=(
            Prose(
                words="The gap of a token is the weaker model's loss minus the strong model's. "
                "Tokens are put in order, those with the largest gap first, and the chart says "
                "what share of the net gap the first so many carry."
            ),
            chart,
            table,
            Prose(words=by_second.caution, manner="aside"),
            Prose(words=f"Of the models' own order: {own.caution}", manner="aside"),
        ),
    )


def orders(one: Concentration, two: Concentration, second: tuple[str, str]) -> Section:
    """Shares, factors and indices of concentration in both orders."""
    missing = Number(value=None, refused="not measured in this order")
    rows = [
        Row(key="effective", name="Effective share", note="of the tokens",
            cells=(one.effective, two.effective)),
        Row(key="factor", name="Concentration factor", note="1: an even gap",
            cells=(one.factor, two.factor)),
        Row(key="index", name="Concentration index", note="0: an even gap",
            cells=(_bare(one.index), _bare(two.index))),
        Row(key="bounded", name="Bounded index", note="between −1 and 1",
            cells=(_bare(one.bounded), _bare(two.bounded))),
    ]  # fmt: skip
    rows += [
        Row(
            key=f"carrying-{share}",
            name=f"Tokens carrying {fmt.tick(float(share), share=True)}",
            note="of the net gap",
            cells=(one.carrying.get(share, missing), two.carrying.get(share, missing)),
        )
        for share in dict.fromkeys([*one.carrying, *two.carrying])
    ]
    return Section(
        key="orders",
        title="How concentrated, in both orders",
        blocks=(
            Table(
                key="concentration",
                caption="The first column counts. The second shows what one would have found "
                "without a second pair.",
                corner="Tokens in the order",
                columns=(
                    Column(key="second", heading=ORDERS[0], note=f"{second[0]}, {second[1]}"),
                    Column(key="own", heading=ORDERS[1], note="flattered by chance"),
                ),
                rows=tuple(rows),
            ),
            Prose(
                words="In the first column effective share and factor are free of chance, as far "
                "as the two pairs do not share it; the index and the tokens that carry 50% and 80% "
                "make the gap look less concentrated than it is. In the second column everything "
                "makes it look more concentrated."
            ),
        ),
    )


def _bare(number: Number) -> Number:
    """An index is no percentage."""
    return number.model_copy(update={"unit": ""})


def signs(one: Concentration, strong: str, weak: str) -> Section:
    """Where the strong model is worse, and where the weaker one is all but certain."""
    blocks: list[Block] = [
        facts(
            "signs",
            fact("worse", "Tokens where the strong model is worse", one.worse),
            fact("gained", "Gained where it is better", one.gained),
            fact("given-back", "Given back where it is worse", one.given_back),
        ),
        Prose(
            words="Gained and given back are means over all tokens; what is left is the net gap. "
            "Some of both is chance: two models trained alike also differ on single tokens."
        ),
    ]
    if one.near_zero:
        blocks.append(
            Table(
                key="near-zero",
                caption="Tokens with a near-zero loss, as a share of all. Where the weaker model is "
                "all but certain there is no gap left to carry. The difference is paired by "
                "document, in percentage points.",
                corner="Loss below, nats",
                columns=(
                    Column(key="probability", heading="Probability above", words=True),
                    Column(key="weak", heading=weak),
                    Column(key="strong", heading=strong),
                    Column(key="more", heading="Strong minus weaker, points", style="points"),
                ),
                rows=tuple(
                    Row(
                        key=f"{at.below:g}",
                        name=fmt.tick(at.below, share=False),
                        cells=(_probability(at.below), at.weak, at.strong, at.more),
                    )
                    for at in one.near_zero
                ),
            )
        )
    title = "Where the strong model is worse, and what is certain"
    return Section(key="signs", title=title, blocks=tuple(blocks))


def _probability(below: float) -> str:
    return fmt.part(math.exp(-below))


def crucial(found: Sequence[OnCrucial], where: Sequence[str]) -> Section:
    """What explanations recover on the crucial tokens and on the rest."""
    says = " ".join(f"Crucial tokens: {s}." for s in dict.fromkeys(one.says for one in found))
    return Section(
        key="crucial",
        title="Explanations where the gap lives",
        blocks=(
            Prose(
                words=f"Explained: {fmt.in_short(where)}. {says} None of the models that "
                "are scored chose them. An explanation that recovers as much on the crucial tokens "
                "as on the rest explains the gap as well as everything else; one that recovers "
                "less there leaves out what sets the strong model apart."
            ),
            Table(
                key="explained",
                caption="Damage: loss under the ablation minus loss of the intact model, on these "
                "tokens. Gap score 0%: as good as the weaker model; 100%: as good as the intact "
                "one.",
                corner="Explanation",
                columns=(
                    Column(key="tokens", heading="Tokens"),
                    Column(key="share", heading="Of all tokens", style="share"),
                    Column(key="damage", heading="Damage, nats per token"),
                    Column(key="carries", heading="Share of all damage"),
                    Column(key="recovered", heading="Recovered", style="share"),
                    Column(key="gap", heading="Gap, nats per token"),
                    Column(key="score", heading="Gap score", style="share"),
                ),
                rows=tuple(row for claim in found for row in _parts(claim)),
            ),
        ),
    )


def _parts(claim: OnCrucial) -> list[Row]:
    against = f"against {claim.ablation}" + (f" and {claim.weak}" if claim.weak else "")
    return [
        Row(
            key=f"{claim.condition}-{on}",
            name=claim.condition,
            note=f"{on}, {against}",
            cells=(part.tokens, part.share, part.damage, part.carries, part.recovered, part.gap,
                   part.score),
        )
        for on, part in (("crucial", claim.crucial), ("the rest", claim.rest))
    ]  # fmt: skip
