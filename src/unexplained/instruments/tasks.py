"""`tasks`: narrow tasks beside the full distribution, by accuracy and by loss (MISSION 13–16)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from unexplained import study
from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Block,
    Cell,
    Chart,
    Column,
    Forest,
    Level,
    Point,
    Prose,
    Role,
    Row,
    Ruler,
    Section,
    Series,
    Table,
    Track,
    facts,
)
from unexplained.record.tasks import Task, TaskPoint
from unexplained.study import Headline, Option, Texts, instrument
from unexplained.study.given import PythonOnly
from unexplained.study.instrument import told

if TYPE_CHECKING:
    from unexplained.assays.tasks import Asked
    from unexplained.evaluate import Other
    from unexplained.explanations import Explanation
    from unexplained.record import TasksRecord
    from unexplained.study import Run


UNKNOWN = Number(value=None, unit="share", refused="records of before do not hold it")
DISAGREE = "loss and accuracy disagree"


def _rung(given: Mapping[str, Any]) -> None:
    """Refuse a weaker model that the ladder does not have."""
    from unexplained.ladder.catalogue import catalogue

    if given["weak"]:
        catalogue().named(given["weak"])


@instrument("tasks", before=_rung, texts=Texts(documents=96, fit_documents=64))
def tasks(
    run: Run,
    *,
    task: Annotated[
        Sequence[str],
        Option("A domain of that text, another text, a behaviour or a file of pairs."),
    ] = (),
    asked: Annotated[Sequence[Asked] | None, PythonOnly()] = None,
    sites: Annotated[str, Option("What is replaced, one after another.")] = "L*.H*",
    weak: Annotated[
        str, Option("The rung that accuracy is held against; the best below if none.")
    ] = "",
    explanations: Annotated[Sequence[Explanation] | None, PythonOnly()] = None,
    weaker: Annotated[Sequence[Other] | None, PythonOnly()] = None,
) -> Iterator[Block | Headline]:
    """Accuracy and loss of the explained model on narrow tasks, beside weaker models.

    Where no task is named: every domain of the text, and repeated random tokens.

    Args:
        run: The model, and the full distribution: on its fit part everything is chosen and fitted.
        task: Domains of that text, other texts, behaviours or files of pairs.
        asked: The tasks themselves, in the place of names.
        sites: The components that are replaced, one after another in a random order.
        weak: The weaker model that accuracy is held against; the strongest if not given.
        explanations: What may be put in a head's place; the library's rules if not given.
        weaker: Models to compare with; the ladder's if not given.

    Raises:
        UnexplainedError: As `assays.tasks`, all that can be told before anything is run.
    """
    from unexplained.assays.tasks import named_tasks
    from unexplained.assays.tasks import tasks as measured
    from unexplained.ladder.catalogue import catalogue
    from unexplained.ladder.conditions import weaker_models

    if weak and weaker is None:
        catalogue().named(weak)
    study.asked.components(run.subject, sites)
    every = named_tasks(run.subject, run.text, task, run.settings.seed) if asked is None else asked
    beside = weaker_models(run.subject, run.text) if weaker is None else weaker
    found = measured(run.subject, every, sites, weaker=beside, reference=weak,
                     explanations=explanations, settings=run.settings, folder=run.folder,
                     say=run.say)  # fmt: skip
    yield from told(run, found, blocks(found), sheet(found))


def blocks(record: TasksRecord) -> Iterator[Block]:
    """What was found, as blocks."""
    yield from (_facts(record), _part(record), _accuracy(record))


def sheet(record: TasksRecord) -> dict[str, str]:
    """What was measured on."""
    found = {"Components in order": ", ".join(record.order)}
    return found | {f"Text of {name}": mark for name, mark in record.texts.items()}


def _facts(record: TasksRecord) -> Table:
    runs = ", ".join(record.reference_runs)
    return facts(
        "facts",
        Row(key="model", name="Model", cells=(record.subject,)),
        Row(key="tasks", name="Tasks", cells=(len(record.tasks),)),
        Row(key="components", name="Components", cells=(record.components,)),
        Row(key="reference", name="Reference weaker model", cells=(record.reference or "none",)),
        *[Row(key="runs", name="Its runs", cells=(runs,))] * bool(runs),
    )


def last(task: Task) -> TaskPoint | None:
    """The model with all components replaced."""
    return task.points[-1] if task.points else None


def by_accuracy(task: Task) -> Number:
    """Accuracy kept between that of the mean ablation of all components (0) and the model's (1)."""
    return task.by_accuracy or UNKNOWN


def apart(task: Task) -> bool | None:
    """Whether loss and accuracy say different things; None where they cannot be compared.

    They do where the two intervals have nothing in common.
    """
    whole, kept = last(task), by_accuracy(task)
    if whole is None:
        return None
    ends = (whole.recovered.low, whole.recovered.high, kept.low, kept.high)
    if any(end is None for end in ends):
        return None
    low, high, least, most = (end or 0.0 for end in ends)
    return most < low or high < least


def between(task: Task) -> float | None:
    """The fraction recovered by accuracy minus that by loss, with all components replaced."""
    whole = last(task)
    kept, lost = by_accuracy(task).value, whole.recovered.value if whole else None
    return None if kept is None or lost is None else kept - lost


def by_distance(record: TasksRecord) -> tuple[Task, ...]:
    """The tasks on which loss and accuracy are furthest apart first, what is refused last."""
    found = [(between(task), task) for task in record.tasks]
    return tuple(
        task for gap, task in sorted(found, key=lambda p: (p[0] is None, -abs(p[0] or 0.0)))
    )


def parted(record: TasksRecord) -> str:
    """On which tasks loss and accuracy say different things, in a sentence."""
    known = [(task.name, found) for task in record.tasks if (found := apart(task)) is not None]
    if not known:
        return "On no task can the fraction recovered by loss be compared with that by accuracy."
    names = [name for name, different in known if different]
    where = f"{len(known)} task" + "s" * (len(known) != 1)
    if not names:
        return f"On {where} loss and accuracy do not disagree: their intervals overlap."
    return (
        f"On {len(names)} of {where} loss and accuracy disagree, their intervals apart: "
        f"{', '.join(names)}."
    )


def _tasks(record: TasksRecord) -> Table:
    tested = any(task.better is not None for task in record.tasks)
    chance = (
        " p: that the model with all components explained is not right more often than "
        f"{record.reference}, corrected for the number of narrow tasks (Holm)."
    )
    return Table(
        key="tasks",
        caption="Largest rise: of accuracy from one model of the ladder to the next, as a share of the "
        "whole rise up to the model; near 100% a task appears all at once. It was chosen as the "
        "largest of several on these documents, so it is rather too large, and its interval with it."
        + chance
        * tested,
        corner="Task",
        columns=(
            Column(key="loss", heading="Recovered by loss", style="share"),
            Column(key="accuracy", heading="Recovered by accuracy", style="share"),
            Column(key="jump", heading="Largest rise", style="share"),
            Column(key="between", heading="Between", words=True),
            *[Column(key="better", heading="p")] * tested,
        ),
        rows=tuple(
            Row(
                key=task.name,
                name=task.name,
                note=DISAGREE if apart(task) else "",
                cells=(
                    whole.recovered if (whole := last(task)) else None,
                    by_accuracy(task),
                    task.jump,
                    task.jump_at or fmt.MISSING,
                    *[task.better] * tested,
                ),
            )
            for task in by_distance(record)
        ),
    )


def _part(record: TasksRecord) -> Section:
    table = _tasks(record)
    forest = Forest(
        key="forest",
        caption="Square: by loss. Diamond: by accuracy. Both resample documents.",
        tracks=tuple(
            Track(
                name=task.name,
                note="; ".join(filter(None, (task.says, f"{task.tokens:,} {task.unit}"))),
                tag=DISAGREE if apart(task) else "",
                marks=tuple(table.at(task.name, by) for by in ("loss", "accuracy")),
            )
            for task in by_distance(record)
            if task.points
        ),
    )
    return Section(
        key="part",
        title="Where loss and accuracy part",
        blocks=(
            Prose(words=parted(record)),
            Prose(
                words=f"The same explanations in the place of all {record.components:,} components, "
                "chosen once on the fit part of the full distribution. Fraction recovered by loss, "
                "and by accuracy on the same scale: from the accuracy with everything mean-ablated "
                "(0%) to that of the model (100%)."
            ),
            forest,
            table,
        ),
    )


def _accuracy(record: TasksRecord) -> Section:
    table = _accuracies(record)
    steps = Section(
        key="steps",
        title="All steps",
        folded=True,
        blocks=(
            Prose(
                words=f"Replaced in this order: {fmt.in_short(record.order, most=12)}."
                + f" Gap score in accuracy: (its accuracy − accuracy of {record.reference}) ÷ "
                f"(accuracy of the model − accuracy of {record.reference}); 0% is as good as the "
                "weaker model." * bool(record.reference)
            ),
            *(_steps(task, record) for task in record.tasks),
        ),
    )
    return Section(
        key="accuracy",
        title="Accuracy against fraction recovered",
        blocks=(
            Prose(
                words="One after another more components are replaced, and the explanation of the "
                "whole gets worse; the number beside a mark says how many are replaced. Across: "
                "fraction recovered by loss, of what mean-ablating the same components costs. Up: "
                "accuracy. Dotted: where accuracy is kept in proportion to loss with everything "
                "replaced; the last mark below it is a task whose accuracy is more fragile than its "
                "loss. With fewer replaced the rest of the model is intact, so that those marks lie "
                "higher."
            ),
            *(_chart(task, record, table) for task in record.tasks if task.points),
            table,
            steps,
        ),
    )


def ladder(record: TasksRecord) -> tuple[str, ...]:
    """The weaker models of any task, in the order of the ladder."""
    return tuple(dict.fromkeys(weak.name for task in record.tasks for weak in task.weaker))


def _accuracies(record: TasksRecord) -> Table:
    """Of every task: the weaker models, the model, then it with more and more explained."""
    counts = sorted({point.count for task in record.tasks for point in task.points})

    def cells(task: Task) -> tuple[Cell, ...]:
        weak = {one.name: one.accuracy for one in task.weaker}
        known = {point.count: point.accuracy for point in task.points}
        return (
            *(weak.get(name) for name in ladder(record)),
            task.accuracy,
            *(known.get(count) for count in counts),
            task.ablated,
        )

    return Table(
        key="accuracies",
        title="Accuracy on every task",
        caption="Share of predictions that are right: of the most probable next token on text, of the "
        "preferred answer on pairs.",
        corner="Task",
        columns=(
            *(Column(key=f"weaker {name}", heading=name,
                     note="reference" if name == record.reference else "weaker model")
              for name in ladder(record)),
            Column(key="model", heading="The model"),
            *(Column(key=f"{count}", heading=f"{count:,} explained") for count in counts),
            Column(key="ablated", heading="All ablated"),
        ),
        rows=tuple(Row(key=task.name, name=task.name, cells=cells(task)) for task in record.tasks),
        shaded=True,
    )  # fmt: skip


def _steps(task: Task, record: TasksRecord) -> Table:
    gap = (Column(key="gap", heading="Gap score in accuracy", style="share"),)
    columns = (
        Column(key="loss", heading="Loss"),
        Column(key="recovered", heading="Recovered", style="share"),
        Column(key="kept", heading="Of the model's accuracy", style="share"),
        *gap * bool(record.reference),
    )
    rows: list[tuple[str, str, str, Role, tuple[Cell, ...]]] = [
        ("intact", "none: the model", "", "intact", (task.intact,)),
        *(
            (f"{p.count}", f"{p.count:,} of {record.components:,}", "", "",
             (p.loss, p.recovered, p.kept, p.gap))
            for p in task.points
        ),
        *(
            (f"weaker {one.name}", one.name, "weaker model", "weaker", (one.loss,))
            for one in task.weaker
        ),
    ]  # fmt: skip
    wide = len(columns)
    return Table(
        key=task.name,
        title=f"{task.name}: {task.tokens:,} {task.unit}",
        caption=task.says,
        corner="Replaced",
        columns=columns,
        rows=tuple(
            Row(key=key, name=name, note=note, role=role, cells=(*cells, *[None] * wide)[:wide])
            for key, name, note, role, cells in rows
        ),
    )


def _chart(task: Task, record: TasksRecord, table: Table) -> Chart:
    reference = [one.name for one in task.weaker if one.name == record.reference]
    levels: list[tuple[str, Role, str]] = [
        ("model", "intact", "model"),
        *((name, "weaker", f"weaker {name}") for name in reference),
        ("ablated", "ablation", "ablated"),
    ]  # fmt: skip
    bottom, top = task.ablated.value, task.accuracy.value
    return Chart(
        key=f"chart of {task.name}",
        title=task.name,
        caption=f"{DISAGREE.capitalize()}." if apart(task) else "",
        small=True,
        across=Ruler(label="fraction recovered", written="share", solid=(0.0, 1.0), least=-0.5, most=1.5),
        up=Ruler(label="accuracy", written="share", solid=(0.0,), least=0.0),
        series=(
            Series(
                name="explained",
                points=tuple(
                    Point(
                        x=f"steps/{task.name.replace('/', ':')}/{point.count}/recovered",
                        y=table.at(task.name, f"{point.count}"),
                        label=f"{point.count:,}",
                    )
                    for point in task.points
                ),
            ),
        ),
        levels=tuple(Level(name=name, role=role, y=table.at(task.name, column))
                     for name, role, column in levels),
        line=None if bottom is None or top is None else (0.0, bottom, 1.0, top),
    )  # fmt: skip
