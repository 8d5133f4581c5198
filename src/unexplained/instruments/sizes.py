"""`sizes`: is a larger model easier or harder to explain, under one budget (MISSION 11)?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from unexplained.record import Number
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
    facts,
)
from unexplained.study import Headline, Option, Texts, instrument
from unexplained.study.given import PythonOnly, Rungs, computes_of
from unexplained.study.instrument import told

if TYPE_CHECKING:
    from unexplained.explanations import Explanation
    from unexplained.record import SizesRecord
    from unexplained.study import Run
    from unexplained.subject import Subject


LOWEST, HIGHEST = -0.5, 1.5
"""Fractions recovered beyond which the chart does not go."""


def _sizes(given: Mapping[str, Any]) -> None:
    """Refuse rungs of which there are too few sizes, or one twice."""
    from unexplained.assays.sizes import require_computes

    require_computes(list(computes_of(given["rungs"], seeds=given["seeds"]).values()))


@instrument("sizes", before=_sizes, texts=Texts(documents=96, fit_documents=64), models="rungs")
def sizes(
    run: Run,
    rungs: Annotated[Mapping[Subject, float], Rungs("Rungs of the ladder; all if none.")],
    *,
    seeds: Annotated[
        bool, Option("Measure every run of a rung that ships with several seeds.")
    ] = True,
    explanations: Annotated[Sequence[Explanation] | None, PythonOnly()] = None,
) -> Iterator[Block | Headline]:
    """Explain every head of every rung by the same rules: is it easier or harder with size?

    A rung stands for all its runs: they differ by their seed alone and scatter by more than most
    rungs differ. Without them the slope says nothing of other runs.

    Args:
        run: A text, made with any of the models' tokenizers.
        rungs: Models that share a tokenizer, with their training compute (FLOPs), or names of rungs.
            Those of the same compute are runs of one size that differ by their seed.
        seeds: Whether a rung that is named stands for all its runs.
        explanations: The budget: what may be put in a head's place; the library's rules if not given.

    Raises:
        UnexplainedError: As `assays.sizes`, all that can be told before anything is run.
    """
    from unexplained.assays.sizes import sizes as measured

    found = measured(rungs, run.text, explanations=explanations, settings=run.settings,
                     folder=run.folder, say=run.say)  # fmt: skip
    yield from told(run, found, blocks(found), sheet(found))


def blocks(record: SizesRecord) -> Iterator[Block]:
    """What was found, as blocks."""
    yield facts(
        "facts",
        Row(
            key="models",
            name="Models",
            cells=(f"{len(record.points):,}, the last {record.subject}",),
        ),
        Row(key="text", name="Text", cells=(record.text,)),
        Row(key="tokens", name="Tokens predicted", cells=(record.tokens,)),
        Row(key="documents", name="Documents", cells=(record.documents,)),
    )
    yield _over_sizes(record)


def sheet(record: SizesRecord) -> dict[str, str]:
    """What was measured on."""
    return {f"Text {record.text}": record.text_fingerprint}


def _over_sizes(record: SizesRecord) -> Section:
    recovered = _recovered(record)
    return Section(
        key="sizes",
        title="Is it easier or harder with size?",
        blocks=(
            Table(
                key="slope",
                facts=True,
                columns=(Column(key="is", heading="", style="points"),),
                rows=(
                    Row(
                        key="slope",
                        name="Change of the fraction recovered",
                        note="percentage points for ten times the training compute",
                        cells=(record.slope,),
                    ),
                ),
            ),
            Prose(words=which_way(record.slope, record.scatter, record.left_out)),
            Prose(
                words=f"Every model gets the same budget of explanation: {record.budget}, chosen on "
                "the fit part. The fraction recovered is of what mean-ablating all heads of that "
                "model costs."
            ),
            _chart(record, recovered),
            recovered,
            Prose(words=rests(record), manner="aside"),
        ),
    )


def _recovered(record: SizesRecord) -> Table:
    return Table(
        key="recovered",
        caption="Damage: all heads mean-ablated, minus intact, in nats per token. Intervals are over "
        "documents, the models as they are.",
        corner="Model",
        columns=(
            Column(key="compute", heading="Training compute, FLOPs", style="compute"),
            Column(key="components", heading="Components"),
            Column(key="bits", heading="Description length, bits"),
            Column(key="damage", heading="Damage"),
            Column(key="recovered", heading="Recovered", style="share"),
        ),
        rows=tuple(
            Row(key=p.rung, name=p.rung,
                cells=(p.compute, p.components, p.bits, p.damage, p.recovered))
            for p in record.points
        ),
    )  # fmt: skip


def _chart(record: SizesRecord, recovered: Table) -> Chart:
    line = least_squares(record)
    named = {p.compute: p.rung for p in reversed(record.points)}
    return Chart(
        key="chart",
        caption="Line: least squares through these values, with the slope that is given."
        if line
        else "",
        across=Ruler(label="training compute, FLOPs", spacing="tenfold", written="power"),
        up=Ruler(label="fraction recovered of what mean-ablating all heads costs", written="share",
                 solid=(0.0,), least=LOWEST, most=HIGHEST),
        series=(
            Series(
                name="recovered",
                joined=False,
                points=tuple(
                    # Runs of one size stand under one name, that of the first.
                    Point(x=p.compute, y=recovered.at(p.rung, "recovered"),
                          label=p.rung if named[p.compute] == p.rung else "")
                    for p in record.points
                ),
            ),
        ),
        line=line,
    )  # fmt: skip


def least_squares(record: SizesRecord) -> tuple[float, float, float, float] | None:
    """The ends of the line with the slope that is given: it goes through the means.

    Returns:
        Least compute (FLOPs), fraction there, greatest compute, fraction there; None where the slope
        or any fraction was refused.
    """
    slope = record.slope.value
    by_size: dict[float, list[float]] = {}
    for point in record.points:
        kept = by_size.setdefault(math.log10(point.compute), [])
        if point.recovered.value is not None:
            kept.append(point.recovered.value)
    if slope is None or sum(map(len, by_size.values())) < len(record.points):
        return None
    # Runs weigh the same, or sizes where they are what scatters.
    weights = {log: 1 if record.bent else len(kept) for log, kept in by_size.items()}
    whole = sum(weights.values())
    middle = sum(weights[log] * log for log in by_size) / whole
    height = sum(weights[log] * sum(kept) / len(kept) for log, kept in by_size.items()) / whole
    first, last = min(by_size), max(by_size)
    return (
        10.0**first,
        height + slope * (first - middle),
        10.0**last,
        height + slope * (last - middle),
    )


def which_way(slope: Number, scatter: float | None, left: Sequence[str] = ()) -> str:
    """What the slope tells, given how far runs of one size scatter, if there are several.

    Args:
        slope: With its interval.
        scatter: None where every size has one run.
        left: Runs of these sizes that were not measured.

    >>> which_way(Number(value=-0.047, low=-0.104, high=-0.02), 0.02)
    'The interval of this slope is below 0: less is recovered in larger models.'
    >>> which_way(Number(value=-0.047, low=-0.104, high=-0.02), None)
    'One run of each size, so that another seed may turn the slope round.'
    """
    if slope.value is None:
        return "There is no slope."
    if slope.low is None or slope.high is None:
        return "Without an interval the slope may be chance."
    if scatter is None:
        return "One run of each size, so that another seed may turn the slope round."
    if left:
        return f"Runs of these sizes were left out: {', '.join(left)}. With them the slope may turn round."
    if slope.low > 0:
        return "The interval of this slope is above 0: more is recovered in larger models."
    if slope.high < 0:
        return "The interval of this slope is below 0: less is recovered in larger models."
    return "The interval of this slope holds 0: these sizes do not tell which way it goes."


def rests(record: SizesRecord) -> str:
    """What the interval of the slope rests on, in a sentence or two."""
    if record.slope.value is None:
        return "Without a slope there is no scatter of runs about it either."
    if record.scatter is None:
        return (
            "Every size has one run: how another run would have come out is not known, and the "
            "interval of the slope does not say."
        )
    said = (
        "The interval of the slope counts other documents, the same ones in all models, and other "
        f"runs: those of one size scatter by {100 * record.scatter:.2g} percentage points (one "
        "standard deviation)."
    )
    if record.bent:
        said += (
            " The sizes lie further off a straight line than seeds explain: their own distances "
            "from it are what is added."
        )
    return said
