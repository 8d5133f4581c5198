"""Narrow tasks beside the full distribution, in words and tables: accuracy, loss, where they part.

The record has the accuracy of the mean-ablated model only with all components replaced. There what
is kept of accuracy can be put on the scale of the fraction recovered; before that it cannot.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from unexplained.record import Number, TasksRecord
from unexplained.record import format as fmt
from unexplained.record.tasks import Task, TaskPoint
from unexplained.report import printed, tables
from unexplained.report.charts import Axis, fraction_axis
from unexplained.report.placing import finite

FEW = "too few documents for an interval"
NO_ROOM = "the model's accuracy is not told from that of its mean ablation"
FIRST, CELL = 14, 22
"""Columns of the terminal for a task, and for two numbers."""


def last(task: Task) -> TaskPoint | None:
    """The model with all components replaced."""
    return task.points[-1] if task.points else None


def by_accuracy(task: Task) -> Number:
    """Accuracy kept between that of the mean ablation of all components (0) and the model's (1).

    Of records that do not hold it, the explained model's interval with the two ends taken as they
    were measured; refused where one of the three has no interval.
    """
    if task.by_accuracy is not None:
        return task.by_accuracy
    whole = last(task)
    three = (whole.accuracy if whole else None, task.accuracy, task.ablated)
    if any(finite(number) is None for number in three):
        return Number(value=None, unit="share", refused="an accuracy was refused")
    mine, top, bottom = (number for number in three if number is not None)
    if any(end is None for number in (mine, top, bottom) for end in (number.low, number.high)):
        return Number(value=None, unit="share", refused=FEW)
    if (top.low or 0.0) <= (bottom.high or 0.0):
        return Number(value=None, unit="share", refused=NO_ROOM)
    low, high = bottom.value or 0.0, top.value or 0.0

    def share(accuracy: float | None) -> float:
        return ((accuracy or 0.0) - low) / (high - low)

    return Number(value=share(mine.value), low=share(mine.low), high=share(mine.high), unit="share")


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
    kept, lost = finite(by_accuracy(task)), finite(whole.recovered if whole else None)
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


def axis(record: TasksRecord) -> Axis:
    """The axis of the comparison."""
    every = [by_accuracy(task) for task in record.tasks]
    every += [whole.recovered for task in record.tasks if (whole := last(task))]
    return fraction_axis(every)


def ladder(record: TasksRecord) -> tuple[str, ...]:
    """The weaker models of any task, in the order of the ladder."""
    return tuple(dict.fromkeys(weak.name for task in record.tasks for weak in task.weaker))


def counts(record: TasksRecord) -> tuple[int, ...]:
    """How many components were replaced, of any task."""
    return tuple(sorted({point.count for task in record.tasks for point in task.points}))


def weak(task: Task, name: str) -> Number | None:
    """A weaker model's accuracy."""
    return next((one.accuracy for one in task.weaker if one.name == name), None)


def at(task: Task, count: int) -> TaskPoint | None:
    """The model with so many components replaced."""
    return next((point for point in task.points if point.count == count), None)


def jumps(record: TasksRecord) -> tuple[Task, ...]:
    """The tasks that appear most suddenly first, what is refused last."""
    return tuple(sorted(record.tasks, key=lambda t: (t.jump.value is None, -(t.jump.value or 0.0))))


def notes(record: TasksRecord) -> tables.Notes:
    """Why numbers on the page were refused."""
    return tables.refusals(_numbers(record))


def _numbers(record: TasksRecord) -> Iterator[Number | None]:
    for task in by_distance(record):
        whole = last(task)
        yield from (whole.recovered if whole else None, by_accuracy(task))
    for task in record.tasks:
        yield from (weak(task, name) for name in ladder(record))
        yield from (task.accuracy, task.ablated, task.intact)
        for one in task.weaker:
            yield one.loss
        for point in task.points:
            yield from (point.accuracy, point.loss, point.recovered, point.kept, point.gap)
    yield from (task.jump for task in jumps(record))


def _in_short(record: TasksRecord) -> Iterator[Number | None]:
    for task in record.tasks:
        whole = last(task)
        yield from (task.accuracy, weak(task, record.reference))
        yield from (whole.accuracy if whole else None, task.ablated)
    for task in by_distance(record):
        whole = last(task)
        yield from (whole.recovered if whole else None, by_accuracy(task), task.jump)
    for task in record.tasks:
        for point in task.points:
            yield from (point.recovered, point.accuracy)


def print_tasks(record: TasksRecord, console: Console) -> None:
    """Print the tasks: verdict, accuracies, where loss and accuracy part, steps."""
    numbered = tables.refusals(_in_short(record))
    console.print(printed.plain(record.title, "dim"))
    console.print(printed.plain(record.verdict, "bold"))
    console.print()
    console.print(_accuracies(record, numbered))
    console.print(printed.plain(parted(record)))
    console.print(_parted(record, numbered, console.width < printed.NARROW))
    every = counts(record)
    beside = max(1, (console.width - FIRST) // CELL)
    for first in range(0, len(every), beside):
        console.print(_steps(record, every[first : first + beside], numbered))
    for (reason, tokens), note in numbered.items():
        number = Number(value=None, refused=reason, tokens_needed=tokens)
        console.print(printed.plain(f"[{note}] {fmt.refusal(number)}", "dim"))


def _accuracies(record: TasksRecord, numbered: tables.Notes) -> Table:
    held = f"; weaker: {record.reference}" if record.reference else ""
    table = tables.plain_table(
        f"accuracy, with all {record.components:,} components replaced{held}"
    )
    table.add_column("task", min_width=10, overflow="fold")
    for heading in ("model", *["weaker"] * bool(held), "explained", "ablated"):
        table.add_column(heading, justify="right", no_wrap=True)
    for task in record.tasks:
        whole = last(task)
        cells = [task.accuracy, whole.accuracy if whole else None, task.ablated]
        if held:
            cells.insert(1, weak(task, record.reference))
        table.add_row(
            printed.plain(task.name), *(printed.value(number, numbered) for number in cells)
        )
    return table


def _parted(record: TasksRecord, numbered: tables.Notes, narrow: bool) -> Table:
    """By loss against by accuracy, and how suddenly the task appears."""
    table = tables.plain_table(
        "recovered by loss and by accuracy (* their intervals are apart), and the largest rise of "
        "accuracy from one weaker model to the next, of the whole rise"
    )
    table.add_column("task", min_width=10, overflow="fold")
    for heading in ("by loss", "by accuracy", "largest rise"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("between", min_width=8, overflow="fold")
    for task in by_distance(record):
        whole = last(task)
        kept = printed.share(by_accuracy(task), numbered, narrow)
        table.add_row(
            printed.plain(task.name),
            printed.share(whole.recovered if whole else None, numbered, narrow),
            kept.append(" *") if apart(task) else kept,
            printed.share_only(task.jump, numbered)
            if narrow
            else printed.share(task.jump, numbered, False),
            printed.plain(task.jump_at or fmt.MISSING),
        )
    return table


def _steps(record: TasksRecord, some: tuple[int, ...], numbered: tables.Notes) -> Table:
    table = tables.plain_table("components replaced: fraction recovered, accuracy")
    table.add_column("task", min_width=10, overflow="fold")
    for count in some:
        table.add_column(f"{count:,}: f", justify="right", no_wrap=True)
        table.add_column("acc.", justify="right", no_wrap=True)
    for task in record.tasks:
        points = [at(task, count) for count in some]
        cells = []
        for point in points:
            cells.append(printed.value(point.recovered if point else None, numbered))
            cells.append(printed.value(point.accuracy if point else None, numbered))
        table.add_row(printed.plain(task.name), *cells)
    return table
