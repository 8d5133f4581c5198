"""More and more of a model replaced, as blocks: the curve, its steps, and break-even with weaker models."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Block,
    Cell,
    Chart,
    Column,
    Level,
    Point,
    Prose,
    Row,
    Ruler,
    Section,
    Series,
    Table,
)

if TYPE_CHECKING:
    from unexplained.bars.orders import Step

SIZES, NEAR = 6, 4
"""Of an answer: how many of the greatest steps, and how many of the nearest losses."""
STRONGER = "its loss is below the intact model's: nothing to break even with"


def answer(steps: Sequence[Step], against: Table, says: str = "") -> Answer:
    """How the loss rises in the first order, the losses nearest to that of everything replaced; what is claimed."""
    mine = sorted((step for step in steps if step.order == 0), key=lambda step: step.count)
    whole = mine[-1]
    cells = {row.key: row.cells[0] for row in against.rows}

    def apart(row: Row) -> float:
        loss = cells[row.key]
        known = isinstance(loss, Number) and loss.value is not None
        ends = (loss.value, whole.explained.value) if isinstance(loss, Number) else (None, None)
        return abs((ends[0] or 0.0) - (ends[1] or 0.0)) if known else math.inf

    near = sorted((row for row in against.rows if row.role != "intact"), key=apart)[:NEAR]
    return Answer(
        corner=f"Replaced, of {whole.count:,}",
        columns=(
            Column(key="loss", heading="Loss", note=whole.explained.unit),
            Column(key="recovered", heading="Recovered", style="share"),
        ),
        rows=(
            *(AnswerRow(name=row.name, role="intact", cells=(f"replaced/against/{row.key}/loss", None))
              for row in against.rows if row.role == "intact"),
            *(AnswerRow(name=f"{step.count:,} replaced", role="explanation",
                        cells=(f"replaced/steps/1-{step.count}/explained",
                               f"replaced/steps/1-{step.count}/recovered"))
              for step in mine[-SIZES:]),
            *(AnswerRow(name=row.name, note=row.note, role=row.role,
                        cells=(f"replaced/against/{row.key}/loss", None))
              for row in against.rows if row in near),
        ),
        picture="replaced/chart",
        says=says,
    )  # fmt: skip


def losses(steps: Sequence[Step], against: Table) -> Section:
    """The section of what every step costs.

    Args:
        steps: Of every order.
        against: The losses that they are held against, a row with the column `loss` for each.

    Returns:
        A section with the key `replaced`: a chart, and a table of steps, with places and the differences
        that these are read from where there are weaker models.
    """
    ordered = sorted(steps, key=lambda step: (step.count, step.order))
    table = _steps(ordered)
    blocks: list[Block] = [
        Prose(
            words="Components are replaced in random orders, not the best-explained first, so that "
            "the curve says what an arbitrary component's explanation is worth. In each "
            "component's place stands the explanation that cost least by itself on the fit part; "
            "mean ablation was among the choices. Where a curve crosses a level line the model "
            "explained so far is no better than what that line stands for."
        ),
        _chart(ordered, table, against),
        table,
        against,
    ]
    if any(step.place for step in ordered):
        blocks.append(_differences(ordered))
    title = "Loss as more and more is replaced"
    return Section(key="replaced", title=title, blocks=tuple(blocks))


def _rows(steps: Sequence[Step], cells: Iterable[tuple[Cell, ...]]) -> tuple[Row, ...]:
    """A row of every step."""
    components = max(step.count for step in steps)
    return tuple(
        Row(
            key=f"{step.order + 1}-{step.count}",
            name=f"{step.count:,} of {components:,}",
            note=f"order {step.order + 1}",
            cells=own,
        )
        for step, own in zip(steps, cells, strict=True)
    )


def _steps(steps: Sequence[Step]) -> Table:
    placed = any(step.place for step in steps)
    columns = (
        Column(key="explained", heading="Loss explained"),
        Column(key="ablated", heading="Loss mean-ablated"),
        Column(key="recovered", heading="Recovered", style="share"),
        *[Column(key="place", heading="Place among weaker models", words=True)] * placed,
    )
    return Table(
        key="steps",
        caption=f"In {steps[0].explained.unit}, and the fraction recovered of what mean-ablating the same components "
        "costs.",
        corner="Replaced",
        columns=columns,
        rows=_rows(steps, (
            (step.explained, step.ablated, step.recovered,
             *[step.place.place if step.place else fmt.MISSING] * placed)
            for step in steps
        )),
    )  # fmt: skip


def _differences(steps: Sequence[Step]) -> Table:
    """What places are read from."""
    known = [{c.rung: c.difference for c in step.place.comparisons} if step.place else {}
             for step in steps]  # fmt: skip
    names = tuple(dict.fromkeys(name for found in known for name in found))
    return Table(
        key="differences",
        title="Loss minus each weaker model's",
        caption=f"In {steps[0].explained.unit}, paired by document: what the places are read from.",
        corner="Replaced",
        columns=tuple(Column(key=name, heading=name) for name in names),
        rows=_rows(steps, (tuple(found.get(name) for name in names) for found in known)),
        folded=True,
    )


def _chart(ordered: Sequence[Step], steps: Table, against: Table) -> Chart:
    def series(order: int, of: str) -> Series:
        mean = of == "ablated"
        return Series(
            name=f"order {order + 1}, mean" if mean else f"order {order + 1}",
            says="the same components, mean-ablated" if mean else "explained, in a random order",
            hue=order,
            dashed=mean,
            points=tuple(
                Point(x=step.count, y=steps.at(f"{order + 1}-{step.count}", of))
                for step in ordered
                if step.order == order
            ),
        )

    return Chart(
        key="chart",
        caption="Level lines: the intact model, weaker models, and tables counted on the fit part. "
        "All orders share their last step.",
        across=Ruler(label="components replaced", spacing="doubling", written="count"),
        up=Ruler(label=f"loss, {ordered[0].explained.unit}"),
        series=tuple(series(i, of) for of in ("explained", "ablated") for i in orders(ordered)),
        levels=tuple(
            Level(name=row.name, role=row.role, y=against.at(row.key, "loss"))
            for row in against.rows
        ),
    )


def orders(steps: Sequence[Step]) -> tuple[int, ...]:
    """The random orders."""
    return tuple(dict.fromkeys(step.order for step in steps))


def up_to(steps: Sequence[Step], order: int, count: int) -> str:
    """How many components can be replaced in an order, with the step at which it was too many."""
    after = [step.count for step in steps if step.order == order and step.count > count]
    if not after:
        return f"all {count:,}"
    return f"{f'{count:,}' if count else 'none'}, not {min(after):,}"


def break_even(
    steps: Sequence[Step], rungs: Mapping[str, Number], itself: Mapping[str, str], intact: Number
) -> Section:
    """The section of how many components can be replaced before a weaker model is better.

    Args:
        steps: Of every order, with their places among the weaker models.
        rungs: The weaker models' losses.
        itself: Where each stands among all of them when it is offered as the explanation.
        intact: The model's own loss.

    Returns:
        A section with the key `break-even`: in words, and in numbers.
    """
    from unexplained.bars.orders import held  # not above: it imports scipy

    rows, counts = [], []
    for rung, loss in rungs.items():
        kinds = (held(steps, rung, "beats", "ties"), held(steps, rung, "beats"))
        words = [
            "; ".join(up_to(steps, i, n) for i, n in zip(orders(steps), kind, strict=True))
            for kind in kinds
        ]
        numbers: list[Cell] = [n for kind in kinds for n in kind]
        # Nothing can break even with a rung that is better than the intact model.
        if loss.value is not None and intact.value is not None and loss.value < intact.value:
            words, numbers = [STRONGER] * len(kinds), [None] * len(numbers)
        cells = (*words, itself[rung])
        rows.append(Row(key=rung, name=rung, role="weaker", cells=cells))
        counts.append(Row(key=rung, name=rung, role="weaker", cells=tuple(numbers)))
    return Section(
        key="break-even",
        title="Break-even with weaker models",
        blocks=(
            Prose(
                words="How many components can be replaced before a weaker model is better? “2, not "
                "4” in an order: with two replaced it held, with four no more; numbers in between "
                "were not measured. Comparisons are paired on the same tokens. Last column, a "
                "control: a weaker model offered in the place of this one has to tie with itself."
            ),
            Table(
                key="counts",
                corner="Weaker model",
                columns=(
                    Column(key="held", heading="Not told to be worse, by order", words=True),
                    Column(key="certain", heading="Better for certain, by order", words=True),
                    Column(key="itself", heading="Offered as the explanation itself", words=True),
                ),
                rows=tuple(rows),
            ),
            _by_order(orders(steps), counts),
        ),
    )  # fmt: skip


def _by_order(every: Sequence[int], counts: Sequence[Row]) -> Table:
    """Break-even in numbers, which can be read off."""
    groups = {"held": "Not told to be worse", "certain": "Better for certain"}
    return Table(
        key="by-order",
        title="How many, order by order",
        caption="The greatest measured number of replaced components.",
        corner="Weaker model",
        columns=tuple(
            Column(key=f"{kind}-{i + 1}", heading=f"order {i + 1}", group=group)
            for kind, group in groups.items()
            for i in every
        ),
        rows=tuple(counts),
        folded=True,
    )
