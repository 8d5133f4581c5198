"""Narrow tasks beside the full distribution, as blocks: where loss and accuracy part, and step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
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
)
from unexplained.record.keys import step

if TYPE_CHECKING:
    from unexplained.bars.tasks import OnTask

DISAGREE = "loss and accuracy disagree"
MOST = 8
"""Narrow tasks that the answer names."""


def answer(found: Sequence[OnTask], says: str = "") -> Answer:
    """The full distribution, and the narrow tasks on which least and most is recovered; what is claimed."""
    first, narrow = found[0], found[1:]
    known = [task for task in narrow if task.last.recovered.value is not None]
    ranked = sorted(known, key=lambda task: task.last.recovered.value or 0.0)
    some = ranked if len(ranked) <= MOST else [*ranked[: MOST // 2], *ranked[-(MOST // 2) :]]
    # A task that was asked for and is refused is not passed over.
    some += [task for task in narrow if task.last.recovered.value is None][: MOST - len(some)]
    every = max(first.steps)
    return Answer(
        corner="Task",
        columns=(
            Column(key="loss", heading="Recovered by loss", style="share"),
            Column(key="right", heading="Right, explained"),
            Column(key="model", heading="Right, the model"),
        ),
        rows=tuple(
            AnswerRow(name=task.name, role="explanation" if task is first else "",
                      cells=(f"part/tasks/{step(task.name)}/loss",
                             f"accuracy/accuracies/{step(task.name)}/{every}",
                             f"accuracy/accuracies/{step(task.name)}/model"))
            for task in (first, *some)
        ),
        picture="part/forest",
        says=says,
    )  # fmt: skip


def _parted(found: Sequence[OnTask]) -> str:
    """On which tasks loss and accuracy say different things, in a sentence."""
    known = [task for task in found if task.apart is not None]
    if not known:
        return "On no task can the fraction recovered by loss be compared with that by accuracy."
    names = [task.name for task in known if task.apart]
    where = f"{len(known)} task" + "s" * (len(known) != 1)
    if not names:
        return f"On {where} loss and accuracy do not disagree: their intervals overlap."
    return (
        f"On {len(names)} of {where} loss and accuracy disagree, their intervals apart: "
        f"{', '.join(names)}."
    )


def part(found: Sequence[OnTask], reference: str) -> Section:
    """Where loss and accuracy part: the tasks on which they are furthest apart first, refused last."""
    tasks = sorted(found, key=lambda task: (task.between is None, -abs(task.between or 0.0)))
    table = _tasks(tasks, reference)
    return Section(
        key="part",
        title="Where loss and accuracy part",
        blocks=(
            Prose(words=_parted(found)),
            Prose(
                words=f"The same explanations in the place of all {max(found[0].steps):,} components, "
                "chosen once on the fit part of the full distribution. Fraction recovered by loss, "
                "and by accuracy on the same scale: from the accuracy with everything mean-ablated "
                "(0%) to that of the model (100%)."
            ),
            Forest(
                key="forest",
                caption="Blue square: by loss. Ochre diamond: by accuracy. Both resample documents.",
                tracks=tuple(
                    Track(
                        name=task.name,
                        note="; ".join(filter(None, (task.says, f"{task.tokens:,} {task.unit}"))),
                        tag=DISAGREE if task.apart else "",
                        marks=tuple(table.at(task.name, by) for by in ("loss", "accuracy")),
                    )
                    for task in tasks
                ),
            ),
            table,
        ),
    )


def _tasks(tasks: Sequence[OnTask], reference: str) -> Table:
    tested = any(task.better is not None for task in tasks)
    chance = (
        " p: that the model with all components explained is not right more often than "
        f"{reference}, corrected for the number of narrow tasks (Holm)."
    )
    return Table(
        key="tasks",
        caption="Largest rise: of accuracy from one model of the ladder to the next, as a share of the "
        "whole rise up to the model; near 100% a task appears all at once. It was chosen as the "
        "largest of several on these documents, so it is rather too large, and its interval with it."
        + chance * tested,
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
                note=DISAGREE if task.apart else "",
                cells=(task.last.recovered, task.by_accuracy, task.rise,
                       task.rise_at or fmt.MISSING, *[task.better] * tested),
            )
            for task in tasks
        ),
    )  # fmt: skip


def accuracy(found: Sequence[OnTask], order: Sequence[str], reference: str) -> Section:
    """Accuracy as more and more is replaced, against the fraction recovered by loss."""
    table = _accuracies(found, reference)
    every = [_steps(task, reference) for task in found]
    steps = Section(
        key="steps",
        title="All steps",
        folded=True,
        blocks=(
            Prose(
                words=f"Replaced in this order: {fmt.in_short(order, most=12)}."
                + f" Gap score in accuracy: (its accuracy − accuracy of {reference}) ÷ "
                f"(accuracy of the model − accuracy of {reference}); 0% is as good as the "
                "weaker model." * bool(reference)
            ),
            *every,
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
            *(_chart(task, reference, table, f"{steps.key}/{one.key}")
              for task, one in zip(found, every, strict=True)),
            table,
            steps,
        ),
    )  # fmt: skip


def _accuracies(found: Sequence[OnTask], reference: str) -> Table:
    """Of every task: the weaker models, the model, then it with more and more explained."""
    return Table(
        key="accuracies",
        title="Accuracy on every task",
        caption="Share of predictions that are right: of the most probable next token on text, of the "
        "preferred answer on pairs.",
        corner="Task",
        columns=(
            *(Column(key=f"weaker {name}", heading=name,
                     note="reference" if name == reference else "weaker model")
              for name in found[0].weaker),
            Column(key="model", heading="The model"),
            *(Column(key=f"{count}", heading=f"{count:,} explained") for count in found[0].steps),
            Column(key="ablated", heading="All ablated"),
        ),
        rows=tuple(
            Row(
                key=task.name,
                name=task.name,
                cells=(*(right for _, right in task.weaker.values()), task.accuracy,
                       *(step.accuracy for step in task.steps.values()), task.ablated),
            )
            for task in found
        ),
        shaded=True,
    )  # fmt: skip


def _steps(task: OnTask, reference: str) -> Table:
    columns = (
        Column(key="loss", heading="Loss"),
        Column(key="recovered", heading="Recovered", style="share"),
        Column(key="kept", heading="Of the model's accuracy", style="share"),
        *[Column(key="gap", heading="Gap score in accuracy", style="share")] * bool(reference),
    )
    none = [None] * (len(columns) - 1)
    return Table(
        key=task.name,
        title=f"{task.name}: {task.tokens:,} {task.unit}",
        caption=task.says,
        corner="Replaced",
        columns=columns,
        rows=(
            Row(key="intact", name="none: the model", role="intact", cells=(task.loss, *none)),
            *(
                Row(key=f"{n}", name=f"{n:,} of {max(task.steps):,}",
                    cells=(step.loss, step.recovered, step.kept, step.gap)[: len(columns)])
                for n, step in task.steps.items()
            ),
            *(
                Row(key=f"weaker {name}", name=name, note="weaker model", role="weaker",
                    cells=(loss, *none))
                for name, (loss, _) in task.weaker.items()
            ),
        ),
    )  # fmt: skip


def _chart(task: OnTask, reference: str, accuracies: Table, steps: str) -> Chart:
    """Accuracy against fraction recovered, which stands in the table of the steps."""
    levels: list[tuple[str, Role, str]] = [
        ("model", "intact", "model"),
        *((name, "weaker", f"weaker {name}") for name in task.weaker if name == reference),
        ("ablated", "ablation", "ablated"),
    ]
    bottom, top = task.ablated.value, task.accuracy.value
    return Chart(
        key=f"chart of {task.name}",
        title=task.name,
        caption=f"{DISAGREE.capitalize()}." if task.apart else "",
        small=True,
        across=Ruler(label="fraction recovered", written="share", solid=(0.0, 1.0), least=-0.5, most=1.5),
        up=Ruler(label="accuracy", written="share", solid=(0.0,), least=0.0),
        series=(
            Series(
                name="explained",
                points=tuple(
                    Point(x=f"{steps}/{n}/recovered", y=accuracies.at(task.name, f"{n}"), label=f"{n:,}")
                    for n in task.steps
                ),
            ),
        ),
        levels=tuple(Level(name=name, role=role, y=accuracies.at(task.name, column))
                     for name, role, column in levels),
        line=None if bottom is None or top is None else (0.0, bottom, 1.0, top),
    )  # fmt: skip
