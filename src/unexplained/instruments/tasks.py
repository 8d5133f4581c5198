"""`tasks`: narrow tasks beside the full distribution, by accuracy and by loss (MISSION 13–16).

A commenter: "quality of their explanations on specific narrow tasks, full distribution performance
doesn't matter". Explanations are chosen and fitted once, on the fit part of the first text, and then
measured everywhere: what is task-good and globally bad shows as that. Components are replaced one
after another, so that accuracy is seen against the fraction of loss recovered as an explanation gets
worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from unexplained import bars, study
from unexplained.bars import narrow
from unexplained.bars.cards import claimed_of
from unexplained.errors import MeasurementError, near_matches
from unexplained.record.blocks import (
    Block,
    fact,
    facts,
)
from unexplained.shares import percent, untold
from unexplained.study import Headline, Option, Texts, instrument
from unexplained.study.given import FAMILY, PythonOnly

if TYPE_CHECKING:
    from unexplained.bars import OnTask
    from unexplained.bars.reading import Reading
    from unexplained.explanations import Explanation
    from unexplained.ladder.family import Family
    from unexplained.study import Run
    from unexplained.study.tasks import TaskText


def _rung(given: Mapping[str, Any]) -> None:
    """Refuse a weaker model that the ladder does not have."""
    from unexplained.ladder.catalogue import catalogue

    if given["weak"] and not given["family"]:
        catalogue().named(given["weak"])


@instrument("tasks", before=_rung, texts=Texts())
def tasks(
    run: Run,
    *,
    task: Annotated[
        Sequence[str],
        Option("A domain of that text, another text, a behaviour or a file of pairs."),
    ] = (),
    asked: Annotated[Sequence[TaskText] | None, PythonOnly()] = None,
    sites: Annotated[str, Option("What is replaced, one after another.")] = "L*.H*",
    weak: Annotated[
        str, Option("The rung that accuracy is held against; the best below if none.")
    ] = "",
    explanations: Annotated[Sequence[Explanation] | None, PythonOnly()] = None,
    family: Annotated[Family | None, FAMILY] = None,
) -> Iterator[Block | Headline]:
    """Accuracy and loss of the explained model on narrow tasks, beside weaker models.

    Where no task is named: every domain of the text, and repeated random tokens.

    Args:
        run: The model, and the full distribution.
        task: Domains of that text, other texts, behaviours or files of pairs.
        asked: The tasks themselves, in the place of names, the full distribution first: on its fit
            part everything is chosen and fitted.
        sites: The components that are replaced, one after another in an order that the seed draws.
        weak: The weaker model that accuracy is held against; the strongest if not given.
        explanations: What may be put in a head's place; the library's rules if not given.
        family: Models to compare with, of the same tokenizer, the ladder's if not given; those that
            are no weaker on the first task by loss are left out.

    Raises:
        MeasurementError: The reference is not among the models or not weaker, two models share a
            name, or a loss is not finite.
        UnexplainedError: As in `require_tasks` and `require_choosing`.
    """
    from unexplained.study.axis import axis_of
    from unexplained.study.choosing import require_choosing, rules
    from unexplained.study.tasks import measured, named_tasks, require_tasks

    _rung({"weak": weak, "family": family})
    study.asked.components(run.subject, sites)
    if asked is None:
        asked = named_tasks(run.subject, run.text, task, run.settings.seed)
    require_tasks(run.subject, asked)
    study.asked.require_apart(family, study.asked.TAKEN)
    axis = axis_of(run, family, tokens="what is right is compared")
    if weak:
        _require_among(weak, [one.name for one in axis.others], "among the models")
    claimed = rules() if explanations is None else explanations
    where = require_choosing(run.subject, asked[0].text, sites, claimed, run.folder)
    order, steps, read = measured(run, asked, where, claimed, axis.arms)
    ladder = _ladder(read[0], axis.compared, weak)
    if weak:
        _require_among(weak, ladder, f"weaker than {run.subject.name}")
    reference = weak or (ladder[-1] if ladder else "")
    others = {name: axis.family.runs_of(name) for name in ladder}
    runs = axis.family.runs_of(reference)
    found = bars.among_narrow([
        losses.on_task(steps, ladder, runs, others=others, name=one.name, says=one.says, stratum=one.stratum,
                       pairs=one.text.pairs)
        for one, losses in zip(asked, read, strict=True)
    ])  # fmt: skip
    yield Headline(
        f"Narrow tasks of {run.subject.name}",
        _verdict(found, reference, runs, run.settings.level),
        {"Components in order": ", ".join(order)}
        | {f"Text of {one.name}": one.text.fingerprint for one in asked},
    )
    yield narrow.answer(found, claimed_of((one.name, one.says) for one in claimed))
    yield facts(
        "facts",
        fact("model", "Model", run.subject.name),
        fact("tasks", "Tasks", len(found)),
        fact("components", "Components", len(order)),
        fact("reference", "Reference weaker model", reference or "none"),
        *[fact("runs", "Its runs", ", ".join(runs))] * bool(runs),
    )
    yield narrow.part(found, reference)
    yield narrow.accuracy(found, order, reference)


def _require_among(weak: str, names: Sequence[str], what: str) -> None:
    if weak not in names:
        raise MeasurementError(
            f"'{weak}' as the weaker model", f"it is not {what}", near_matches(weak, names)
        )


def _ladder(read: Reading, compared: Sequence[str], weak: str) -> list[str]:
    """Those with a higher loss than the model on the full distribution, the weakest first."""

    def loss(name: str) -> float:
        return read.ledger.sums(name).per_token()

    names = dict.fromkeys([*compared, *[weak] * bool(weak)])
    return sorted((n for n in names if loss(n) > loss("intact")), key=lambda name: -loss(name))


def _verdict(found: Sequence[OnTask], reference: str, runs: Sequence[str], level: float) -> str:
    """The full distribution, the narrow tasks at their extremes, and on which it is the better one."""
    first, narrow = found[0], found[1:]
    said = f"With all components replaced: on {first.name} {_said(first, reference)}"
    known = [(task.last.recovered, task) for task in narrow]
    scored = sorted(
        ((f.value, task) for f, task in known if f.value is not None and f.low is not None),
        key=lambda one: one[0],
    )
    many = len(scored) > 2
    if many:
        said += f"; of {len(scored)} narrow tasks the least and the most recovered are"
    for i, task in enumerate(task for _, task in (scored[:1] + scored[-1:] if many else scored)):
        between = "" if many and not i else " and" if many else ";"
        told = percent(task.last.recovered) if many else _said(task, reference)
        said += f"{between} on {task.name} {told}"
    tested = [task for task in narrow if task.better is not None]
    if reference and tested:
        better = [task.name for task in tested if (task.better or 0.0) < (1 - level) / 2]
        each = f"each of {len(runs)} runs of {reference}" if len(runs) > 1 else reference
        counted = f"{len(tested)} narrow task{'s' if len(tested) > 1 else ''}"
        where = ", ".join(better) or "none"
        said += f". Corrected for {counted} (Holm), it is right more often than {each} on {where}"
    return said + "."


def _said(task: OnTask, reference: str) -> str:
    why = untold(task.last.recovered)
    said = f"{percent(task.last.recovered)} is recovered by loss"
    said = f"what is recovered by loss is refused: {why}" if why else said
    between = ";" if why else ","
    rates = [task.last.accuracy, task.accuracy]
    rates += [task.weaker[reference][1]] if reference in task.weaker else []
    # A refusal in the middle of a sentence breaks it: the sentence is all told or not at all.
    for rate in rates:
        if why := untold(rate):
            return f"{said}; how often it is right is refused: {why}"
    mine, model, *weak = map(percent, rates)
    said += f"{between} right {mine} of the time where the model is {model}"
    return said + "".join(f" and {reference} {rate}" for rate in weak)
