"""`sizes`: is explaining easier or harder with size? The same budget over a ladder's rungs (MISSION 11).

Ryan Greenblatt: "I'm skeptical things will be easier with bigger models instead of harder". The
budget is the same rules for every head of every rung, chosen head by head on the fit part; what it
recovers of the mean ablation of all heads is read off for every size, with the slope over the
logarithm of training compute. Runs of one size that differ by their seed alone differ in it by
much: a slope from one run of each is no answer, whatever its interval over documents. Nor is one from
some of the runs that there are: two of a size that came out alike make seeds look harmless, and
among the shipped rungs there are such that say "easier" and such that say "harder".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from unexplained import bars
from unexplained.errors import MeasurementError, require_different, require_once
from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
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
from unexplained.record.keys import step
from unexplained.study import Headline, Option, Texts, arms, instrument, sheet
from unexplained.study.given import PythonOnly, Rungs, Unpriced, computes_of

if TYPE_CHECKING:
    from unexplained.estimators import Slope
    from unexplained.explanations import Explanation
    from unexplained.ledger import Ledger
    from unexplained.study import Run
    from unexplained.subject import Subject

ALL_EXPLAINED, ALL_ABLATED = "all heads explained", "all heads ablated"
HEADS = "L*.H*"
FEWEST = 3
MOST = 8
"""Sizes that the answer names: the greatest."""
LOWEST, HIGHEST = -0.5, 1.5
"""Fractions recovered beyond which the chart does not go."""


class Size(NamedTuple):
    """One model under the budget."""

    name: str
    compute: float
    """Training FLOPs; models of the same are runs of one size, which differ by their seed."""
    components: int
    bits: int
    damage: Number
    """All of them mean-ablated, minus intact (nats per token)."""
    recovered: Number


def _sizes(given: Mapping[str, Any]) -> None:
    """Refuse rungs of which there are too few sizes, or one twice."""
    _require_sizes(computes_of(given["rungs"], seeds=given["seeds"]).values())


@instrument(
    "sizes",
    before=_sizes,
    texts=Texts(),
    models="rungs",
    unpriced=Unpriced(
        "the models that it is given are the family, each with its own compute",
        "Give them themselves: unexplained sizes MODEL=FLOPS MODEL=FLOPS …",
    ),
)
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
        MeasurementError: There are fewer than three sizes, two models share a name or are one, a
            compute is not positive and finite, or a loss is not finite.
        UnexplainedError: As in `require_choosing`, of any rung, before anything is run.
    """
    from unexplained.ladder.catalogue import catalogue
    from unexplained.study.choosing import NONE, rules

    budget = tuple(rules() if explanations is None else explanations)
    ordered = sorted(rungs.items(), key=lambda item: item[1])
    _require(run, ordered, budget)
    found, ledgers = [], []
    for subject, compute in ordered:
        size, read = _measured(run.of(subject), compute, budget)
        found.append(size)
        ledgers.append(read)
    slope = bars.slope_of(ledgers, [size.compute for size in found], settings=run.settings)
    left = catalogue().left_out([size.name for size in found])
    yield Headline(
        f"The same budget of explanation, {found[0].name} to {found[-1].name}",
        _verdict(slope, found, left),
    )
    yield _answer(found)
    yield facts("facts", sheet.of_models([size.name for size in found]), *sheet.of_text(run.text))
    said = f"for every head the best of: {NONE}; " + "; ".join(one.name for one in budget)
    yield _over_sizes(found, slope, left, said)


def _require(
    run: Run, rungs: Sequence[tuple[Subject, float]], budget: Sequence[Explanation]
) -> None:
    """What cannot be measured is refused before anything is run."""
    from unexplained.ladder.conditions import require_same_tokens, require_unseen_by
    from unexplained.study.choosing import require_choosing

    for subject, compute in rungs:
        if not 0 < compute < math.inf:
            raise MeasurementError(
                f"The training compute of {subject.name}",
                f"{compute:g} is not positive and finite",
                "Give FLOPs: about 6 times parameters times tokens.",
            )
    require_once("model", [subject.name for subject, _ in rungs])
    require_different((subject.name, subject.fingerprint) for subject, _ in rungs)
    _require_sizes([compute for _, compute in rungs])
    for subject, _ in rungs:
        require_choosing(subject, run.text, HEADS, budget, run.folder)
        require_same_tokens(rungs[0][0], subject)
        require_unseen_by(subject, run.text)


def _require_sizes(computes: Collection[float]) -> None:
    """Refuse too few sizes for a slope."""
    different = len(set(computes))
    if different < FEWEST:
        raise MeasurementError(
            f"A slope over {different} sizes", f"it takes {FEWEST}", "Give more rungs."
        )


def _measured(
    run: Run, compute: float, budget: Sequence[Explanation]
) -> tuple[Size, tuple[Ledger, str, str]]:
    """One model, and its ledger with what is explained and what is ablated in it."""
    from unexplained.study.choosing import choose

    where = run.subject.sites(HEADS)
    chosen = choose(run, where, budget)
    read = run.measure(*arms.replaced(run, chosen, (ALL_EXPLAINED, ALL_ABLATED), where))
    # Where no rule is better than the mean for any head, the two are one.
    explained, ablated = (read.card(name).condition for name in (ALL_EXPLAINED, ALL_ABLATED))
    size = Size(
        run.subject.name, compute, len(where), chosen.bits, read.increase(ablated),
        read.recovered(explained, ablated),
    )  # fmt: skip
    return size, (read.ledger, explained, ablated)


def _direction(slope: Number) -> int:
    """1 where more is recovered in larger models, −1 where less is, 0 where that is not told."""
    more = slope.above_zero
    return more - slope.below_zero


def _verdict(slope: Slope, found: Sequence[Size], left: Sequence[str] = ()) -> str:
    number, scatter = slope.number, slope.seeds.deviation
    if number.value is None:
        return f"The slope over sizes is refused: {number.refused}."
    said = (
        "Under the same rules the fraction recovered changes by "
        f"{fmt.written(number, spec='+.3f')} for ten times the compute"
    )
    if scatter is None:
        return (
            f"{said}, with one run of each size: how much another seed would move it is not known, "
            "so it does not say whether explaining is easier or harder with size."
        )
    if left:
        return (
            f"{said}, with some of the runs of these sizes left out ({', '.join(left)}): they may say "
            "the opposite, so it does not say whether explaining is easier or harder with size."
        )
    way = {
        -1: "harder with size, as far as this text and these runs can tell",
        0: "whether it is easier or harder with size is not told",
        1: "easier with size, as far as this text and these runs can tell",
    }[_direction(number)]
    return (
        f"{said}, other documents and other seeds counted ({len(found)} runs of "
        f"{len({size.compute for size in found})} sizes; runs of one size scatter by {scatter:.3f}): "
        f"{way}."
    )


def _answer(found: Sequence[Size]) -> Answer:
    """What is recovered of each size, of its first run where there are more; and the slope."""
    firsts = {size.compute: size for size in reversed(found)}
    runs = Counter(size.compute for size in found)
    some = [firsts[compute] for compute in sorted(firsts)]
    return Answer(
        corner="Model",
        columns=(
            Column(key="recovered", heading="Recovered", style="share"),
            Column(key="damage", heading="Damage", note="all heads ablated, nats per token"),
        ),
        rows=tuple(
            AnswerRow(name=size.name, note=f"first of {n} runs" if (n := runs[size.compute]) > 1 else "",
                      cells=tuple(f"sizes/recovered/{step(size.name)}/{key}"
                                  for key in ("recovered", "damage")))
            for size in some[-MOST:]
        ),
        beside=(
            AnswerRow(name="For ten times the compute, percentage points",
                      style="points", cells=("sizes/slope/slope/is", None)),
        ),
        picture="sizes/chart",
    )  # fmt: skip


def _over_sizes(found: Sequence[Size], slope: Slope, left: Sequence[str], budget: str) -> Section:
    recovered = _recovered(found)
    return Section(
        key="sizes",
        title="Is it easier or harder with size?",
        blocks=(
            facts(
                "slope",
                fact(
                    "slope",
                    "Change of the fraction recovered",
                    slope.number,
                    "percentage points for ten times the training compute",
                ),
                style="points",
            ),
            Prose(words=_which_way(slope, left)),
            Prose(
                words=f"Every model gets the same budget of explanation: {budget}, chosen on "
                "the fit part. The fraction recovered is of what mean-ablating all heads of that "
                "model costs."
            ),
            _chart(found, slope, recovered),
            recovered,
            Prose(words=_rests(slope), manner="aside"),
        ),
    )


def _recovered(found: Sequence[Size]) -> Table:
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
        rows=tuple(Row(key=size.name, name=size.name, cells=size[1:]) for size in found),
    )


def _chart(found: Sequence[Size], slope: Slope, recovered: Table) -> Chart:
    line = _least_squares(found, slope)
    named = {size.compute: size.name for size in reversed(found)}
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
                    Point(x=size.compute, y=recovered.at(size.name, "recovered"),
                          label=size.name if named[size.compute] == size.name else "")
                    for size in found
                ),
            ),
        ),
        line=line,
    )  # fmt: skip


def _least_squares(found: Sequence[Size], slope: Slope) -> tuple[float, float, float, float] | None:
    """The ends of the line with the slope that is given: it goes through the means.

    Returns:
        Least compute (FLOPs), fraction there, greatest compute, fraction there; None where the slope
        or any fraction was refused.
    """
    by_size: dict[float, list[float]] = {}
    for size in found:
        kept = by_size.setdefault(math.log10(size.compute), [])
        if size.recovered.value is not None:
            kept.append(size.recovered.value)
    if slope.number.value is None or sum(map(len, by_size.values())) < len(found):
        return None
    # Runs weigh the same, or sizes where they are what scatters.
    weights = {log: 1 if slope.bent else len(kept) for log, kept in by_size.items()}
    whole = sum(weights.values())
    middle = sum(weights[log] * log for log in by_size) / whole
    height = sum(weights[log] * sum(kept) / len(kept) for log, kept in by_size.items()) / whole
    first, last = min(by_size), max(by_size)
    return (
        10.0**first,
        height + slope.number.value * (first - middle),
        10.0**last,
        height + slope.number.value * (last - middle),
    )


def _which_way(slope: Slope, left: Sequence[str] = ()) -> str:
    """What the slope tells, given how far runs of one size scatter, if there are several.

    Args:
        slope: With its interval.
        left: Runs of these sizes that were not measured.
    """
    number = slope.number
    if number.value is None:
        return "There is no slope."
    if number.low is None and number.high is None:
        return "Without an interval the slope may be chance."
    if slope.seeds.deviation is None:
        return "One run of each size, so that another seed may turn the slope round."
    if left:
        return f"Runs of these sizes were left out: {', '.join(left)}. With them the slope may turn round."
    return {
        -1: "The interval of this slope is below 0: less is recovered in larger models.",
        0: "The interval of this slope holds 0: these sizes do not tell which way it goes.",
        1: "The interval of this slope is above 0: more is recovered in larger models.",
    }[_direction(number)]


def _rests(slope: Slope) -> str:
    """What the interval of the slope rests on, in a sentence or two."""
    scatter = slope.seeds.deviation
    if slope.number.value is None:
        return "Without a slope there is no scatter of runs about it either."
    if scatter is None:
        return (
            "Every size has one run: how another run would have come out is not known, and the "
            "interval of the slope does not say."
        )
    said = (
        "The interval of the slope counts other documents, the same ones in all models, and other "
        f"runs: those of one size scatter by {100 * scatter:.2g} percentage points (one "
        "standard deviation)."
    )
    if slope.bent:
        said += (
            " The sizes lie further off a straight line than seeds explain: their own distances "
            "from it are what is added."
        )
    return said
