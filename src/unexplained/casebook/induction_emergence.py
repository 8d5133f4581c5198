"""Induction through training: what emerges together with induction heads (MISSION 24, 25)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import unexplained as ux
from unexplained.errors import MeasurementError
from unexplained.record import Number
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Block,
    Column,
    Prose,
    Row,
    Section,
    Table,
)
from unexplained.study import (
    CaseCard,
    Headline,
    Models,
    Texts,
    attention_of,
    case,
    no_candidates,
)

if TYPE_CHECKING:
    from unexplained import Subject
    from unexplained.study import Run

STEP = re.compile(r"step-?(\d+)$")
"""How names of checkpoints end."""
LEAST = 0.3
"""Mean attention on the token after the earlier one: below it no head is called an induction head."""

CHANCE = 0.05
"""Of three measures that rise most in the same step: what is more probable tells nothing."""

CARD = CaseCard(
    claim="Induction heads form in a short phase of training, together with the previous-token heads that they "
    "are made of, and with most of what a model gains from earlier text.",
    source="Olsson et al. 2022, In-context Learning and Induction Heads; Singh et al. 2024, What needs to go "
    "right for an induction head?",
    candidates="In the last checkpoint the head that on repeated random tokens attends most to the token after "
    f"the earlier occurrence; at least {LEAST:.0%} of its attention.",
    measured="At every checkpoint the strongest induction and previous-token scores, what strict induction "
    "accounts for of that head, the gain in context, and the loss on the second copy.",
    published="The phase change falls in the same narrow window in models of two layers and more; smeared keys "
    "bring it forward, and let models of one layer have it (Olsson et al. 2022).",
    refuted="Scores that rise at other checkpoints than the gain in context; or models that gain as early "
    "where a previous-token head cannot form.",
    twin="A model with random weights is the first row of the table. What emerges by intervention takes training: "
    "benchmarks/emergence.py, docs/results.md.",
)
COLUMNS = (
    Column(key="induction", heading="Induction"),
    Column(key="previous", heading="Previous token"),
    Column(key="recovered", heading="Strict induction", style="share"),
    Column(key="gain", heading="Gain in context"),
    Column(key="loss", heading="Loss, second copy"),
)
SHOWN = COLUMNS[:4]
SHARE = "share"
SECOND = ("copy", "second copy")


@case("induction-emergence", CARD, texts=Texts("repeats", documents=16, fit_documents=32, block=96))
def induction_emergence(
    run: Run,
    *,
    earlier: Annotated[
        tuple[Subject, Subject],
        Models(
            "Two earlier checkpoints of the model's run, the first one first.",
            default=("attention-2-step-8000", "attention-2-step-10000"),
        ),
    ] = ("attention-2-step-8000", "attention-2-step-10000"),  # type: ignore[assignment]
) -> Iterator[Block | Headline]:
    """Induction through training: what emerges at which checkpoint, and whether it does so together.

    Args:
        run: The last checkpoint, and repeated random tokens.
        earlier: Checkpoints before it, of the same sizes.

    Raises:
        MeasurementError: The last checkpoint has no induction head.
        UnexplainedError: As `head_scores` and `assay`.
    """
    last = run.subject
    _require_order([model.name for model in (*earlier, last)])
    final = ux.head_scores(last, run.text, **run.how("scoring every head"))
    if not run.imagined and final[0].induction < LEAST:
        raise no_candidates(
            "induction-emergence", last.name, f"a head with {LEAST:.0%} of its attention there",
            f"{final[0].site} with {final[0].induction:.1%}",
        )  # fmt: skip
    models = [last.twin(run.settings.seed), *earlier, last]
    names = ["random weights", *(model.name for model in models[1:])]
    found = {
        name: _at(run, model, final[0].site) for name, model in zip(names, models, strict=True)
    }
    yield Headline(f"Induction through the training of {last.name}", _verdict(found), run.sheet)
    yield Answer(
        corner="Checkpoint",
        columns=SHOWN,
        rows=tuple(
            AnswerRow(name=name, cells=tuple(f"steps/checkpoints/{name}/{column.key}" for column in SHOWN))
            for name in names[1:]
        ),
        says=f"Scores: attention of the best head. Strict induction: its share of what {final[0].site} is worth. "
        "Gain in nats per token.",
    )  # fmt: skip
    words = (
        "Scores are mean attention on this text: on the token after the earlier occurrence (any head), "
        "and on the position before (heads before the last layer). Strict induction: which share comes back of what "
        f"mean ablation of {final[0].site} costs at that checkpoint; refused while the head is worth nothing. Checkpoints are "
        "in the order in which they were given. Gain in "
        "context: loss on the first copy less that on the second (of running text, on early tokens less late ones). That these rise together does not say which makes which."
    )
    yield Section(
        key="steps", title="Checkpoint by checkpoint", blocks=(Prose(words=words), _table(found))
    )


def _require_order(names: Sequence[str]) -> None:
    """Refuse checkpoints whose names tell another order; of others the order is the caller's.

    Raises:
        MeasurementError: An earlier one comes after a later one.
    """
    steps = [int(found[1]) if (found := STEP.search(name)) else None for name in names]
    known = [(step, name) for step, name in zip(steps, names, strict=True) if step is not None]
    for (one, first), (other, second) in pairwise(known):
        if one >= other:
            raise MeasurementError(
                f"Checkpoints {first} and {second}, in this order",
                "by their names the first one is not the earlier one",
                "Give the earlier one first: --earlier FIRST SECOND.",
            )


def _at(run: Run, model: Subject, head: str) -> Mapping[str, Number]:
    """All measures of one checkpoint."""
    from unexplained.study import arms

    here = run.of(model)
    scores = ux.head_scores(model, run.text, **here.how("scoring every head"))
    last = model.shape.layers - 1
    before = [score for score in scores if model.sites(score.site)[0].layer < last]
    previous = max(before, key=lambda score: score.previous_token, default=None)
    best = model.sites(scores[0].site)[0]
    where = model.sites(head)
    claims = arms.claims(here, where, [ux.LIBRARY.get("strict_induction")])
    read = here.measure(arms.ablation(here, "mean", where), *claims)
    gain = read.context(["mean"])
    none = Number(value=None, refused="the text has no two places to compare")
    once = Number(value=None, refused="nothing is said twice in this text")
    return {
        "induction": attention_of(here, best, "induction"),
        "previous": attention_of(here, model.sites(previous.site)[0], "previous_token") if previous
        else Number(value=None, unit=SHARE, refused="no head comes before the last layer"),
        "recovered": read.recovered("strict induction", "mean"),
        "gain": none if gain is None else gain.gain["intact"],
        "loss": read.loss(stratum=SECOND) if SECOND in read.ledger.strata else once,
    }  # fmt: skip


def _table(found: Mapping[str, Mapping[str, Number]]) -> Table:
    return Table(
        key="checkpoints",
        corner="Checkpoint",
        columns=COLUMNS,
        rows=tuple(
            Row(key=name, name=name, cells=tuple(of[column.key] for column in COLUMNS))
            for name, of in found.items()
        ),
    )


def _verdict(found: Mapping[str, Mapping[str, Number]]) -> str:
    """Between which checkpoints each measure rises most, where that is told."""
    said = {
        "induction": "induction",
        "previous": "attention to the token before",
        "gain": "the gain in context",
    }
    where = {key: pair for key in said if (pair := _rise(found, key))}
    untold = [said[key] for key in said if key not in where]
    if not untold and len(set(where.values())) == 1:
        one, other = where["induction"]
        rise = f"Induction, attention to the token before and the gain in context all rise most between {one} and {other}"
        return f"{rise}, in one run of training{_by_chance(len(found) - 1)}."
    parts = [f"{said[key]} between {one} and {other}" for key, (one, other) in where.items()]
    apart = "They do not rise together; most" if len(set(where.values())) > 1 else "Most"
    sentences = [f"{apart} rises: {'; '.join(parts)}."] if parts else []
    if untold:
        sentences.append(f"Where most rises is not told: {'; '.join(untold)}.")
    return " ".join(sentences)


def _by_chance(steps: int) -> str:
    """That so few steps say nothing: three measures, each in any of them, would agree in 1 of steps²."""
    if steps**-2 <= CHANCE:
        return ""
    return (
        f"; among {steps} steps from one checkpoint to the next that would be chance in {steps**-2:.0%} of cases, "
        "so whether they go together is not told: take more checkpoints"
    )


def _rise(found: Mapping[str, Mapping[str, Number]], key: str) -> tuple[str, str] | None:
    """The neighbours between which a measure rises most; none where that is not told from the others, or from no rise.

    Ends of rises are differences of ends: stricter than need be, for checkpoints are on the same documents.
    """
    pairs: Sequence[tuple[str, str]] = list(pairwise(found))
    rises = []
    for one, other in pairs:
        before, after = found[one][key], found[other][key]
        ends = before.low, before.high, after.low, after.high
        if any(end is None for end in ends):  # without an interval nothing is told
            return None
        least, most, lowest, highest = (end for end in ends if end is not None)
        rises.append((lowest - most, highest - least))
    first = max(range(len(pairs)), key=lambda i: rises[i][0])
    beside = [high for i, (_, high) in enumerate(rises) if i != first]
    return pairs[first] if rises[first][0] > max(0.0, *beside) else None
