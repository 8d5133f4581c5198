"""`rewrite`: more and more of a model replaced by explanations (MISSION 9, 10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from unexplained.bars import scales
from unexplained.bars.standing import standing
from unexplained.record import Explained, Scale
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Block,
    Cell,
    Chart,
    Column,
    Level,
    Point,
    Prose,
    Role,
    Row,
    Ruler,
    Section,
    Series,
    Table,
    facts,
)
from unexplained.record.rewrite import BreakEven, Step
from unexplained.record.tables import counted
from unexplained.study import Claims, Headline, Option, Texts, instrument
from unexplained.study.given import PythonOnly
from unexplained.study.instrument import told

if TYPE_CHECKING:
    from unexplained.evaluate import Other
    from unexplained.explanations import Explanation
    from unexplained.record import RewriteRecord
    from unexplained.study import Run


MANY = 24
"""Components beyond which their list is folded."""
STRONGER = "its loss is below the intact model's: nothing to break even with"


@instrument("rewrite", texts=Texts(documents=96, fit_documents=64))
def rewrite(
    run: Run,
    *,
    sites: Annotated[
        str, Option('What may be replaced: "L*.H*", or with MLPs "L*.H* L*.mlp".')
    ] = "L*.H*",
    programs: Annotated[
        Sequence[Explanation],
        Claims(
            "my.py: a program for the whole model; may be given again.",
            option="--program",
            default=(),
        ),
    ],
    explanations: Annotated[Sequence[Explanation] | None, PythonOnly()] = None,
    weaker: Annotated[Sequence[Other] | None, PythonOnly()] = None,
    draws: Annotated[int, Option("Random orders.", least=1)] = 3,
) -> Iterator[Block | Headline]:
    """Replace random components by stated explanations, until all are, beside weaker models.

    For every head the best of the library's rules is chosen on the fit part; MLPs have no
    stated explanation and are replaced by their mean.

    Args:
        run: The model, and a text; what is chosen and fitted is so on its fit part.
        sites: The components that may be replaced: heads, and MLPs by their mean.
        programs: Written programs, each offered in the place of the whole model.
        explanations: What may be put in a head's place; the library's rules if not given.
        weaker: Models to compare with; the ladder's if not given.
        draws: Random orders.

    Raises:
        UnexplainedError: As `assays.rewrite`, all that can be told before anything is run.
    """
    from unexplained.assays.rewrite import rewrite as measured
    from unexplained.ladder.conditions import weaker_models

    beside = weaker_models(run.subject, run.text) if weaker is None else weaker
    found = measured(run.subject, run.text, sites, weaker=beside, explanations=explanations,
                     programs=programs, draws=draws, settings=run.settings, folder=run.folder,
                     say=run.say)  # fmt: skip
    yield from told(run, found, blocks(found), sheet(found))


def blocks(record: RewriteRecord) -> Iterator[Block]:
    """What was found, as blocks."""
    yield _facts(record)
    yield _replaced(record)
    if record.break_even:
        yield _break_even(record)
    if record.programs:
        yield _programs(record)
    if record.scale is not None:
        yield _compute(record, record.scale)
    if record.programs:
        yield standing([b for row in record.programs for b in (row.bars, row.shuffled)])
    yield _choices(record)
    yield from (Prose(words=note, manner="aside") for note in record.text_notes)


def sheet(record: RewriteRecord) -> dict[str, str]:
    """What was measured on."""
    return {f"Text {record.text}": record.text_fingerprint}


def draws(record: RewriteRecord) -> tuple[int, ...]:
    """The random orders."""
    return tuple(dict.fromkeys(step.draw for step in record.steps))


def _facts(record: RewriteRecord) -> Table:
    return facts(
        "facts",
        Row(key="model", name="Model", cells=(record.subject,)),
        Row(key="text", name="Text", cells=(record.text,)),
        Row(key="tokens", name="Tokens predicted", cells=(record.tokens,)),
        Row(key="documents", name="Documents", cells=(record.documents,)),
        Row(key="components", name="Components", cells=(record.components,)),
        Row(
            key="bits",
            name="Description length of all explanations",
            cells=(f"{fmt.count(record.bits)} bits",),
        ),
    )


def _replaced(record: RewriteRecord) -> Section:
    steps, against = _steps(record), _against(record)
    blocks: list[Block] = [
        Prose(
            words="Components are replaced in random orders, not the best-explained first, so that "
            "the curve says what an arbitrary component's explanation is worth. In each "
            "component's place stands the explanation that cost least by itself on the fit part; "
            "mean ablation was among the choices. Where a curve crosses a level line the model "
            "explained so far is no better than what that line stands for."
        ),
        _chart(record, steps, against),
        steps,
        against,
    ]
    if any(step.place for step in record.steps):
        blocks.append(_differences(record))
    title = "Loss as more and more is replaced"
    return Section(key="replaced", title=title, blocks=tuple(blocks))


def _ordered(record: RewriteRecord) -> list[Step]:
    return sorted(record.steps, key=lambda step: (step.count, step.draw))


def _row(step: Step, record: RewriteRecord, cells: tuple[Cell, ...]) -> Row:
    """A row of a step."""
    return Row(
        key=f"{step.draw + 1}-{step.count}",
        name=f"{step.count:,} of {record.components:,}",
        note=f"order {step.draw + 1}",
        cells=cells,
    )


def _steps(record: RewriteRecord) -> Table:
    placed = any(step.place for step in record.steps)
    columns = (
        Column(key="explained", heading="Loss explained"),
        Column(key="ablated", heading="Loss mean-ablated"),
        Column(key="recovered", heading="Recovered", style="share"),
        *[Column(key="place", heading="Place among weaker models", words=True)] * placed,
    )
    return Table(
        key="steps",
        caption="Nats per token, and the fraction recovered of what mean-ablating the same components "
        "costs.",
        corner="Replaced",
        columns=columns,
        rows=tuple(
            _row(step, record,
                 (step.explained, step.ablated, step.recovered,
                  *[step.place.place if step.place else fmt.MISSING] * placed))
            for step in _ordered(record)
        ),
    )  # fmt: skip


def _against(record: RewriteRecord) -> Table:
    tables = [Row(key=name, name=name, note="table", role="baseline", cells=(loss,))
              for name, loss in record.tables.items()]  # fmt: skip
    rungs = [Row(key=f"weaker {name}", name=name, note="weaker model", role="weaker", cells=(loss,))
             for name, loss in record.rungs.items()]  # fmt: skip
    intact = Row(key="intact", name="intact", role="intact", cells=(record.intact,))
    return Table(
        key="against",
        title="What these losses are held against",
        caption=counted(record.counted),
        corner="Model or table",
        columns=(Column(key="loss", heading="Loss", note="nats per token"),),
        rows=(*tables, *rungs, intact),
    )


def _differences(record: RewriteRecord) -> Table:
    """What places are read from."""
    known = [{c.rung: c.difference for c in step.place.comparisons} if step.place else {}
             for step in _ordered(record)]  # fmt: skip
    names = tuple(dict.fromkeys(name for found in known for name in found))
    return Table(
        key="differences",
        title="Loss minus each weaker model's",
        caption="Nats per token, paired by document: what the places are read from.",
        corner="Replaced",
        columns=tuple(Column(key=name, heading=name) for name in names),
        rows=tuple(
            _row(step, record, tuple(found.get(name) for name in names))
            for step, found in zip(_ordered(record), known, strict=True)
        ),
        folded=True,
    )


def _chart(record: RewriteRecord, steps: Table, against: Table) -> Chart:
    def series(hue: int, draw: int, of: str) -> Series:
        mean = of == "ablated"
        return Series(
            name=f"order {draw + 1}, mean" if mean else f"order {draw + 1}",
            says="the same components, mean-ablated" if mean else "explained, in a random order",
            hue=hue,
            dashed=mean,
            points=tuple(
                Point(x=step.count, y=steps.at(f"{draw + 1}-{step.count}", of))
                for step in _ordered(record)
                if step.draw == draw
            ),
        )

    levels = [(row.role, row.name, against.at(row.key, "loss")) for row in against.rows]
    return Chart(
        key="chart",
        caption="Level lines: the intact model, weaker models, and tables counted on the fit part. "
        "All orders share their last step.",
        across=Ruler(label="components replaced", spacing="doubling", written="count"),
        up=Ruler(label="loss, nats per token"),
        series=(
            *(series(i, draw, "explained") for i, draw in enumerate(draws(record))),
            *(series(i, draw, "ablated") for i, draw in enumerate(draws(record))),
        ),
        levels=tuple(Level(name=name, role=role, y=y) for role, name, y in levels),
    )


def up_to(record: RewriteRecord, draw: int, count: int) -> str:
    """How many components can be replaced in an order, with the step at which it was too many."""
    if count >= record.components:
        return f"all {count:,}"
    after = [s.count for s in record.steps if s.draw == draw and s.count > count]
    missed = f", not {min(after):,}" if after else ""
    return f"{count:,}{missed}" if count else f"none{missed}"


def stronger(record: RewriteRecord, one: BreakEven) -> bool:
    """Whether a rung is better than the intact model, which nothing can then break even with."""
    mine, other = record.intact.value, one.loss.value
    return mine is not None and other is not None and other < mine


def _break_even(record: RewriteRecord) -> Section:
    def words(one: BreakEven) -> tuple[str, ...]:
        if stronger(record, one):
            return (STRONGER, STRONGER)
        return tuple(
            "; ".join(up_to(record, i, n) for i, n in zip(draws(record), counts, strict=True))
            for counts in (one.counts, one.certain)
        )

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
                rows=tuple(
                    Row(key=one.rung, name=one.rung, role="weaker",
                        cells=(*words(one), record.itself.get(one.rung, fmt.MISSING)))
                    for one in record.break_even
                ),
            ),
            _counts(record),
        ),
    )  # fmt: skip


def _counts(record: RewriteRecord) -> Table:
    """Break-even in numbers, which can be read off."""
    groups = {"held": "Not told to be worse", "certain": "Better for certain"}
    known = [{"held": one.counts, "certain": one.certain} for one in record.break_even]
    columns = [
        (kind, i, Column(key=f"{kind}-{draw + 1}", heading=f"order {draw + 1}", group=group))
        for kind, group in groups.items()
        for i, draw in enumerate(draws(record))
    ]
    return Table(
        key="by-order",
        title="How many, order by order",
        caption="The greatest measured number of replaced components.",
        corner="Weaker model",
        columns=tuple(column for _, _, column in columns),
        rows=tuple(
            Row(key=one.rung, name=one.rung, role="weaker",
                cells=tuple(None if stronger(record, one) else counts[kind][i]
                            for kind, i, _ in columns))
            for one, counts in zip(record.break_even, known, strict=True)
        ),
        folded=True,
    )  # fmt: skip


def _programs(record: RewriteRecord) -> Section:
    return Section(
        key="programs",
        title="Written programs in the place of the whole model",
        blocks=(
            Prose(
                words="Each predicts the next token from the tokens before it and what it counted on "
                "the fit part; nothing of the model is left. Shuffled, a control: the same program "
                "reading another document, out of order, has to do worse. Their losses are among "
                "the bars below."
            ),
            Table(
                key="lengths",
                corner="Program",
                columns=(
                    Column(key="bits", heading="Description, bits"),
                    Column(key="code", heading="Bits of code"),
                    Column(key="parameters", heading="Bits of parameters"),
                    Column(key="tokens", heading="Calibrated on tokens"),
                ),
                rows=tuple(
                    Row(key=row.name, name=row.name, note=row.says, role="explanation",
                        cells=(row.description.bits, row.description.code_bits,
                               row.description.parameter_bits, row.fit_tokens))
                    for row in record.programs
                ),
            ),
        ),
    )  # fmt: skip


def everything(record: RewriteRecord) -> str:
    """What the whole explained model is called: by how many parts it has, not by all their names."""
    return f"all {record.components:,} components explained"


def _compute(record: RewriteRecord, scale: Scale) -> Section:
    def named(one: Explained) -> Explained:
        whole = one.condition.startswith("explained: ")
        return one.model_copy(update={"condition": everything(record)}) if whole else one

    roles: dict[str, Role] = {everything(record): "explanation"}
    roles |= {row.bars.condition: "explanation" for row in record.programs}
    short = scale.model_copy(update={"explained": tuple(map(named, scale.explained))})
    return scales.compute(short, roles)


def _choices(record: RewriteRecord) -> Section:
    often = Counter(choice.explanation for choice in record.choices).most_common()
    return Section(
        key="choices",
        title="Explanations in place",
        blocks=(
            Prose(
                words="Chosen component by component, each alone, by the loss on the fit part: "
                + ", ".join(f"{name} {n:,}" for name, n in often)
                + ". Where it says mean, no explanation did better than claiming nothing."
            ),
            Table(
                key="chosen",
                title=f"All {len(record.choices):,} components",
                caption="Increase over intact with that component alone replaced, in nats per token "
                "on the fit part.",
                corner="Component",
                columns=(
                    Column(key="explanation", heading="Explanation", words=True),
                    Column(key="increase", heading="It costs", style="signed"),
                    Column(key="mean", heading="Its mean costs", style="signed"),
                    Column(key="saved", heading="Saved", style="signed"),
                ),
                rows=tuple(
                    Row(key=c.site, name=c.site,
                        cells=(c.explanation, c.increase, c.mean, c.mean - c.increase))
                    for c in record.choices
                ),
                folded=len(record.choices) > MANY,
            ),
        ),
    )  # fmt: skip
