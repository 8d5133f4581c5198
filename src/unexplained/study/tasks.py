"""Tasks: texts, or the tokens of one label, on which the same explanations are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unexplained.bars.reading import Reading
from unexplained.errors import MeasurementError
from unexplained.explanations import StandIn
from unexplained.ladder.conditions import require_unseen_by
from unexplained.ledger import ALL
from unexplained.sites import Site
from unexplained.study import arms
from unexplained.study.arm import Arm
from unexplained.study.asked import require_labels, require_tokens
from unexplained.study.choosing import choose, counts_of
from unexplained.study.run import Run
from unexplained.subject import Subject
from unexplained.text import Text
from unexplained.text.named import read_text


@dataclass(frozen=True)
class TaskText:
    """A task: a text, whole or the tokens with one label."""

    name: str
    text: Text
    says: str = ""
    stratum: tuple[str, str] = ALL


def require_tasks(subject: Subject, asked: Sequence[TaskText]) -> None:
    """Refuse tasks that share a name or cannot be measured.

    Raises:
        MeasurementError: There is none, two share a name, or the ladder was trained on one.
        TextError: One has no tokens of its stratum, or is of another model's tokens.
    """
    names = [one.name for one in asked]
    if not asked or len(set(names)) < len(names):
        raise MeasurementError(f"The tasks {', '.join(names) or '(none)'}", "name each once")
    for one in asked:
        require_unseen_by(subject, one.text)
        require_tokens(subject, one.text, "eval")
        require_labels(one.text, one.stratum)


def named_tasks(
    subject: Subject, whole: Text, names: Sequence[str], seed: int
) -> tuple[TaskText, ...]:
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
    return (
        TaskText(whole.name, whole, "the full distribution"),
        *(_named_task(name, subject, whole, seed) for name in wanted),
    )


def _named_task(name: str, subject: Subject, whole: Text, seed: int) -> TaskText:
    """A domain of the text, the second copies of repeated tokens, or a text of its own."""
    if name in whole.composition:
        return TaskText(name, whole, f"tokens of {whole.name} in this domain", ("domain", name))
    text = read_text(name, subject, documents=len(whole.eval), fit_documents=len(whole.fit),
                     block=whole.block, seed=seed)  # fmt: skip
    if name == "repeats":
        says = "the second copy of a repeated segment of random tokens"
        return TaskText(name, text, says, ("copy", "second copy"))
    return TaskText(name, text)


def measured(
    run: Run,
    asked: Sequence[TaskText],
    where: Sequence[Site],
    explanations: Sequence[StandIn],
    weaker: Sequence[Arm],
) -> tuple[list[str], dict[int, tuple[str, str]], list[Reading]]:
    """Components replaced one after another on every task.

    Args:
        run: The model, and the seed that draws the order.
        asked: The tasks; on the fit part of the first explanations are chosen and fitted.
        where: The components.
        explanations: What may stand in a head's place.
        weaker: Arms of models that are measured beside it.

    Returns:
        The order; by how many are replaced the names of the explained and the ablated arm; and for
        every task what was measured.
    """
    chosen = choose(run.on(asked[0].text), where, explanations)
    rng = np.random.default_rng([run.settings.seed, 10])
    order = [where[i] for i in rng.permutation(len(where))]
    steps = {
        n: (f"explained, {n} components", f"ablated, {n} components") for n in counts_of(len(where))
    }
    whole, _ = steps[len(where)]
    read: dict[str, Reading] = {}
    for one in asked:
        if one.text.fingerprint not in read:
            there, every = run.on(one.text), [*weaker]
            for n, names in steps.items():
                of = "" if n == len(where) else whole
                every += arms.replaced(there, chosen, names, order[:n], of=of)
            read[one.text.fingerprint] = there.measure(*every)
    return list(map(str, order)), steps, [read[one.text.fingerprint] for one in asked]
