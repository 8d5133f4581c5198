"""`tasks`: the same explanations on narrow tasks and on the full distribution.

A commenter: "quality of their explanations on specific narrow tasks, full distribution performance
doesn't matter"; Ryan Greenblatt's bar is accuracy against a weaker model's: "GPT4 gets 50% … GPT3.5
gets 20%, if you could explain up to 40%". Explanations are chosen and fitted once, on the fit part
of the first text, and then measured everywhere: what is task-good and globally bad shows as that.
Components are replaced one after another, so that accuracy is seen against the fraction of loss
recovered as an explanation gets worse (MISSION 16).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unexplained.bars import loss, recovered
from unexplained.bars.effects import holm
from unexplained.bars.measures import measure_of
from unexplained.bars.paired import paired
from unexplained.errors import MeasurementError, near_matches
from unexplained.estimators import p_values
from unexplained.evaluate import Condition, Other, distinct, evaluate, joint
from unexplained.explanations import Explanation
from unexplained.ladder.catalogue import catalogue
from unexplained.ladder.conditions import require_unseen_by, to_compare
from unexplained.ledger import ALL, Ledger
from unexplained.progress import Progress
from unexplained.record import Number
from unexplained.record.tasks import Task, TaskPoint, TasksRecord, Weaker
from unexplained.shares import FEW, percent, told, within
from unexplained.sites import Site
from unexplained.stats import (
    SHARE,
    Settings,
    fraction,
    mean_per_token,
    too_few,
)
from unexplained.study.asked import TAKEN, require_labels, require_others, require_tokens
from unexplained.study.choosing import Chosen, choose, counts_of, require_choosing, rules
from unexplained.study.provenance import found_again
from unexplained.study.run import Run
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text
from unexplained.text.named import read_text

Stratum = tuple[str, str]


@dataclass(frozen=True)
class Asked:
    """A task: a text, whole or the tokens with one label."""

    name: str
    text: Text
    says: str = ""
    stratum: Stratum = ALL

    @property
    def column(self) -> str:
        """The ledger's column of right predictions."""
        return measure_of("accuracy", pairs=self.text.pairs).column


@neutrally
def tasks(
    subject: Subject,
    asked: Sequence[Asked],
    sites: str = "L*.H*",
    *,
    weaker: Sequence[Other] = (),
    reference: str = "",
    explanations: Sequence[Explanation] | None = None,
    settings: Settings = Settings(),  # noqa: B008  (frozen)
    folder: Path | None = None,
    say: Progress = lambda what, done, total: None,
) -> TasksRecord:
    """Measure the same explanations on every task.

    Args:
        subject: The model.
        asked: The full distribution first; on its fit part everything is chosen and fitted.
        sites: The components that are replaced, one after another in a random order.
        weaker: Models to compare with; those that are no weaker on the first task by loss are
            left out.
        reference: The one of them that accuracy is held against; the strongest if not given.
        explanations: What may be put in a head's place; the library's rules if not given.
        settings: Level, resamples and seed (which also draws the order).
        folder: Where finished batches are kept and found again.
        say: Told about progress.

    Raises:
        MeasurementError: There is no task, two tasks or models share a name, the reference is not
            among the models, or a loss is not finite.
        TextError: A task has no tokens of its stratum, or is of another model's tokens.
        UnexplainedError: As in `require_choosing`. All but what is not finite before anything is
            run.
    """
    started = time.perf_counter()
    names = [one.name for one in asked]
    if not asked or len(set(names)) < len(names):
        raise MeasurementError(f"The tasks {', '.join(names) or '(none)'}", "name each once")
    require_others(weaker, TAKEN)
    if reference and reference not in (models := [one.name for one in weaker]):
        raise MeasurementError(
            f"'{reference}' as the weaker model", "it is not among the models",
            near_matches(reference, models),
        )  # fmt: skip
    claimed = rules() if explanations is None else explanations
    where = require_choosing(subject, asked[0].text, sites, claimed, folder)
    for one in asked:
        require_unseen_by(subject, one.text)
        require_tokens(subject, one.text, "eval")
        require_labels(one.text, one.stratum)
    chosen = choose(Run(subject, (asked[0].text,), settings, folder, say=say), where, claimed)
    rng = np.random.default_rng([settings.seed, 10])
    order = [where[i] for i in rng.permutation(len(where))]
    steps, measured = distinct(_conditions(chosen, order))
    conditions = [*steps, *weaker]
    ledgers: dict[str, Ledger] = {}
    for one in asked:
        if one.text.fingerprint not in ledgers:
            ledgers[one.text.fingerprint] = evaluate(
                subject, one.text, conditions, folder=folder,
                progress=lambda done, total, n=one.text.name: say(f"measuring {n}", done, total),  # type: ignore[misc]
            )  # fmt: skip
    named = [one.name for one in weaker if one.name == reference]
    compared = dict.fromkeys([*to_compare(weaker), *named])
    ladder = _weaker(ledgers[asked[0].text.fingerprint], list(compared))
    if reference and reference not in ladder:
        raise MeasurementError(
            f"'{reference}' as the weaker model", f"it is not weaker than {subject.name}",
            near_matches(reference, ladder),
        )  # fmt: skip
    held = reference or (ladder[-1] if ladder else "")
    runs = _runs(held, list(weaker))
    found = _against(
        [_task(one, ledgers[one.text.fingerprint], len(order), measured, ladder, held, settings)
         for one in asked],
        [_worse(one, ledgers[one.text.fingerprint], measured[_name("explained", len(order))], runs)
         for one in asked],
    )  # fmt: skip
    return TasksRecord(
        title=f"Narrow tasks of {subject.name}",
        verdict=_verdict(found, held, runs, settings.level),
        texts={one.name: one.text.fingerprint for one in asked},
        components=len(order),
        order=tuple(map(str, order)),
        reference=held,
        reference_runs=runs,
        tasks=found,
        **found_again(subject, settings, started, weaker),
    )


def _weaker(ledger: Ledger, names: Sequence[str]) -> list[str]:
    """Those with a higher loss than the model, the weakest first."""
    losses = {name: ledger.sums(name).per_token() for name in (*names, "intact")}
    below = [name for name in names if losses[name] > losses["intact"]]
    return sorted(below, key=lambda name: -losses[name])


def _conditions(chosen: Chosen, order: Sequence[Site]) -> list[Condition]:
    """Every step, explained and ablated."""
    return [
        joint(_name(kind, count), [parts[site] for site in order[:count]])
        for count in counts_of(len(order))
        for kind, parts in (("explained", chosen.explained), ("ablated", chosen.ablated))
    ]


def _name(kind: str, count: int) -> str:
    return f"{kind}, {count} components"


def _task(
    one: Asked,
    ledger: Ledger,
    components: int,
    measured: Mapping[str, str],
    weaker: Sequence[str],
    reference: str,
    settings: Settings,
) -> Task:
    def accuracy(condition: str) -> Number:
        read = paired(ledger, one.column, (condition,), one.stratum)
        found = mean_per_token(read.columns[0], read.tokens, settings=settings, unit=SHARE)
        return told(found, int(np.count_nonzero(read.tokens)))

    def cost(condition: str) -> Number:
        return loss(ledger, condition, stratum=one.stratum, settings=settings)

    points = []
    for count in counts_of(components):
        ablated, explained = (measured[_name(kind, count)] for kind in ("ablated", "explained"))
        points.append(
            TaskPoint(
                count=count,
                loss=cost(explained),
                recovered=recovered(
                    ledger, explained, ablated, stratum=one.stratum, settings=settings
                ),
                accuracy=accuracy(explained),
                kept=_of_the_models(ledger, one, explained, settings),
                gap=_gap(ledger, one, explained, reference, settings) if reference else None,
            )
        )
    ablated, explained = (measured[_name(kind, components)] for kind in ("ablated", "explained"))
    jump, at = _jump(ledger, one, weaker, settings)
    return Task(
        name=one.name,
        says=one.says,
        unit="pairs" if one.text.pairs else "tokens",
        tokens=int(ledger.sums("intact", one.stratum).tokens.sum()),
        intact=cost("intact"),
        accuracy=accuracy("intact"),
        ablated=accuracy(ablated),
        weaker=tuple(Weaker(name=n, loss=cost(n), accuracy=accuracy(n)) for n in weaker),
        jump=jump,
        jump_at=at,
        points=tuple(points),
        by_accuracy=_kept(ledger, one, explained, ablated, settings),
    )


def _of_the_models(ledger: Ledger, one: Asked, explained: str, settings: Settings) -> Number:
    """Accuracy as a share of the intact model's."""
    read = paired(ledger, one.column, (explained, "intact"), one.stratum)
    mine, whole = read.columns
    found = fraction(
        mine, whole, read.tokens, what="the model's accuracy", unit=SHARE, settings=settings
    )
    return within(found, least=0)


def _between(
    ledger: Ledger,
    one: Asked,
    explained: str,
    low: str,
    settings: Settings,
    *,
    what: str,
    if_negative: str,
) -> Number:
    """(accuracy − that of `low`) / (the model's − that of `low`): 0 does as well as `low`."""
    read = paired(ledger, one.column, (explained, low, "intact"), one.stratum)
    mine, least, whole = read.columns
    return fraction(
        mine - least, whole - least, read.tokens, unit=SHARE, settings=settings,
        what=what, if_negative=if_negative,
    )  # fmt: skip


def _kept(ledger: Ledger, one: Asked, explained: str, ablated: str, settings: Settings) -> Number:
    return _between(
        ledger, one, explained, ablated, settings, what="accuracy above that of the mean ablation",
        if_negative="the ablated model is right more often, so there is nothing to keep",
    )  # fmt: skip


def _runs(reference: str, weaker: Sequence[Other]) -> tuple[str, ...]:
    """The reference and, of a rung, those of its other runs that are measured anyway."""
    known = {one.name for one in catalogue().models}
    mine = catalogue().with_seeds([reference]) if reference in known else [reference]
    there = {one.name for one in weaker}
    return tuple(name for name in mine if name in there)


def _worse(one: Asked, ledger: Ledger, explained: str, runs: Sequence[str]) -> float | None:
    """p-value that the explained model is not right more often than every one of some models.

    One-sided t tests by document; the greatest p, so that the claim holds for each of them
    (Berger's intersection of unions). None with too few documents, or no models.
    """
    if not runs:
        return None
    read = paired(ledger, one.column, (explained, *runs), one.stratum)
    if too_few(read.tokens):
        return None
    mine, *others = read.columns
    found = []
    for other in others:
        p = float(p_values(mine - other, read.tokens, share=True))
        found.append(p / 2 if mine.sum() > other.sum() else 1 - p / 2)
    return max(found)


def _against(found: Sequence[Task], worse: Sequence[float | None]) -> tuple[Task, ...]:
    """The tasks with their p-values, those of the narrow ones corrected for their number."""
    tested = [i for i, p in enumerate(worse) if i and p is not None]
    corrected = dict(zip(tested, holm([worse[i] or 0.0 for i in tested]), strict=True))
    return tuple(
        task.model_copy(update={"better": corrected.get(i, worse[i])})
        for i, task in enumerate(found)
    )


def _gap(ledger: Ledger, one: Asked, explained: str, reference: str, settings: Settings) -> Number:
    return _between(
        ledger, one, explained, reference, settings, what=f"accuracy above '{reference}'",
        if_negative="the weaker model is right more often, so there is no gap to keep",
    )  # fmt: skip


def _jump(
    ledger: Ledger, one: Asked, weaker: Sequence[str], settings: Settings
) -> tuple[Number, str]:
    """The largest rise of accuracy between neighbours on the ladder, as a share of all of it.

    The largest of K rises is larger than it is on other documents, for it was chosen. Its interval
    is that of the largest, whichever it is: K intervals hold together with at least the level
    (Bonferroni), and then it lies between the greatest of the low ends and the greatest of the
    high ones; and it is no less than 1/K, which is the mean. Refused where the whole rise is not
    distinguishable from zero.
    """
    if len(weaker) < 2:
        return Number(value=None, unit=SHARE, refused="it takes two weaker models"), ""
    ladder = [*weaker, "intact"]
    read = paired(ledger, one.column, tuple(ladder), one.stratum)
    columns = np.stack(read.columns)
    rises = np.diff(columns, axis=0)
    each = replace(settings, level=1 - (1 - settings.level) / len(rises))
    steps = [
        fraction(
            rise,
            columns[-1] - columns[0],
            read.tokens,
            what="rise of accuracy along the ladder",
            unit=SHARE,
            if_negative="accuracy does not rise along the ladder",
            settings=each,
        )
        for rise in rises
    ]
    at = int(rises.sum(1).argmax())
    if any(step.low is None or step.high is None for step in steps):
        refused = next((step for step in steps if step.value is None), None)
        few = Number(value=None, unit=SHARE, refused=FEW)
        return refused or few, ""
    number = Number(
        value=steps[at].value,
        low=max(step.low for step in steps if step.low is not None),
        high=max(step.high for step in steps if step.high is not None),
        unit=SHARE,
    )
    others = _not_smaller(rises, at, read.tokens, 1 - settings.level)
    between = f"{ladder[at]} and {'the model' if at == len(rises) - 1 else ladder[at + 1]}"
    if others:
        between += f", or one of {others} others" if others > 1 else ", or one other"
    return within(number, least=1 / len(rises)), between


def _not_smaller(rises: np.ndarray, at: int, tokens: np.ndarray, error: float) -> int:
    """How many other rises are not told to be smaller than the largest measured.

    Every pair counts (Bonferroni): any of the rises could have been the largest measured.
    """
    pairs = len(rises) * (len(rises) - 1) / 2
    others = np.delete(rises, at, axis=0)
    return int((p_values(rises[at] - others, tokens, share=True) * pairs >= error).sum())


def _verdict(found: Sequence[Task], reference: str, runs: Sequence[str], level: float) -> str:
    """The full distribution, the narrow tasks at their extremes, and on which it is the better one."""
    first, narrow = found[0], found[1:]
    said = f"With all components replaced: on {first.name} {_said(first, reference)}"
    known = [(task.points[-1].recovered, task) for task in narrow]
    scored = sorted(
        ((f.value, task) for f, task in known if f.value is not None and f.low is not None),
        key=lambda one: one[0],
    )
    ends = [task for _, task in dict.fromkeys([*scored[:1], *scored[-1:]])]
    if len(scored) > 2:
        said += f"; of {len(scored)} narrow tasks the least and the most recovered are"
    for i, task in enumerate(ends):
        between = " and" if i and len(scored) > 2 else ";" if len(scored) <= 2 else ""
        said += f"{between} on {task.name} {_said(task, reference)}"
    tested = [task for task in narrow if task.better is not None]
    if reference and tested:
        better = [task.name for task in tested if (task.better or 0.0) < (1 - level) / 2]
        each = f"each of {len(runs)} runs of {reference}" if len(runs) > 1 else reference
        counted = f"{len(tested)} narrow task{'s' if len(tested) > 1 else ''}"
        where = ", ".join(better) or "none"
        said += f". Corrected for {counted} (Holm), it is right more often than {each} on {where}"
    return said + "."


def _said(task: Task, reference: str) -> str:
    whole = task.points[-1]
    weak = next((w.accuracy for w in task.weaker if w.name == reference), None)
    said = f"f = {percent(whole.recovered)}"
    rates = [whole.accuracy, task.accuracy, *([weak] if weak is not None else [])]
    # A refusal in the middle of a sentence breaks it: the sentence is all told or not at all.
    for rate in rates:
        if rate.low is None:
            return f"{said}, how often it is right (refused: {rate.refused or FEW})"
    said += (
        f", right {percent(whole.accuracy)} of the time where the model is {percent(task.accuracy)}"
    )
    return said + (f" and {reference} {percent(weak)}" if weak is not None else "")


def named_tasks(subject: Subject, whole: Text, names: Sequence[str], seed: int) -> list[Asked]:
    """The full distribution, and tasks by name, as many documents of each as of that.

    Args:
        subject: Whose tokenizer cuts them.
        whole: The full distribution.
        names: Domains of it, texts, behaviours or files of pairs; every domain and repeated random
            tokens if none.
        seed: What is drawn.

    Raises:
        TextError: There is no such text.
    """
    domains = list(whole.composition) if len(whole.composition) > 1 else []
    wanted = names or [*domains, *(["repeats"] if whole.name != "repeats" else [])]
    return [
        Asked(whole.name, whole, "the full distribution"),
        *(_named_task(name, subject, whole, seed) for name in wanted),
    ]


def _named_task(name: str, subject: Subject, whole: Text, seed: int) -> Asked:
    """A domain of the text, the second copies of repeated tokens, or a text of its own."""
    if name in whole.composition:
        return Asked(name, whole, f"tokens of {whole.name} in this domain", ("domain", name))
    text = read_text(name, subject, documents=len(whole.eval), fit_documents=len(whole.fit),
                     block=whole.block, seed=seed)  # fmt: skip
    if name == "repeats":
        says = "the second copy of a repeated segment of random tokens"
        return Asked(name, text, says, ("copy", "second copy"))
    return Asked(name, text)
