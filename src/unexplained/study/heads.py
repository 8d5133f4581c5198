"""Behavioural scores of every head: how much of its attention goes where a rule would send it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unexplained.ablations import ABLATIONS, value_site
from unexplained.bars import context_gain
from unexplained.errors import MeasurementError, require_count
from unexplained.evaluate import evaluate, observe
from unexplained.evaluate.evaluate import BATCH_TOKENS, Workers, in_process
from unexplained.explanations.attending import attention_by_batch, attention_on_targets
from unexplained.progress import Count
from unexplained.record import HeadScore, Number
from unexplained.shares import SHARE, within
from unexplained.sites import Site
from unexplained.stats import Settings, mean_per_token
from unexplained.study.asked import components, require_folder, require_tokens
from unexplained.study.run import Run
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text
from unexplained.text.named import read_text

ONE_DOCUMENT = 1
"""Tokens of a batch, so that each holds one document."""


@neutrally
def head_scores(
    subject: Subject,
    text: Text,
    *,
    twin: Subject | None = None,
    batch_tokens: int = BATCH_TOKENS,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> tuple[HeadScore, ...]:
    """Score all heads on a text's eval part, strongest induction first.

    A score is the mean attention on the rule's targets over the destinations that have any, in
    [0, 1] (Olsson et al. 2022, for repeated random tokens). On such tokens a rule has one target,
    so an ideal induction head scores 1. A score says where a head looks, not what that does to the
    loss: heads with a score of 0.9 can matter less than the noise.

    Args:
        subject: The model.
        text: Repeated random tokens (`text("repeats", …)`) for the usual scores.
        twin: A random-weight model of the same shape, scored beside it.
        batch_tokens: Padded tokens per batch.
        folder: Where finished batches are kept and found again.
        workers: Who does the work: this process, or those of a cluster.
        progress: Told about every finished batch.

    Raises:
        MeasurementError: The twin is of other sizes, a pattern is not finite, or what is finished
            cannot be kept.
        TextError: The text has no documents, or is of another model's tokens.
    """
    require_count("batch_tokens", batch_tokens, least=1)
    require_tokens(subject, text, "eval")
    if twin is not None:
        if twin.shape != subject.shape:
            raise MeasurementError(
                f"{twin.name} as the twin of {subject.name}", "its sizes are others",
                "Make it of the model: subject.twin(seed).",
            )  # fmt: skip
        require_tokens(twin, text, "eval")
    require_folder(folder, subject)
    read = partial(
        attention_on_targets, text=text, batch_tokens=batch_tokens, folder=folder, workers=workers,
        progress=progress,
    )  # fmt: skip
    scores = read(subject)
    other = read(twin) if twin is not None else None
    shape = subject.shape
    found = [
        HeadScore(
            site=str(Site(layer, "H", head)),
            induction=float(scores["induction"][layer, head]),
            previous_token=float(scores["previous_token"][layer, head]),
            duplicate_token=float(scores["duplicate_token"][layer, head]),
            twin_induction=None if other is None else float(other["induction"][layer, head]),
        )
        for layer in range(shape.layers)
        for head in range(shape.heads)
    ]
    return tuple(sorted(found, key=lambda score: -score.induction))


def strongest(scores: Sequence[HeadScore], count: int) -> str:
    """The sites of the heads with the highest induction scores, as one address.

    Args:
        scores: What `head_scores` gave, strongest first.
        count: How many heads.

    Raises:
        MeasurementError: None is asked for.
    """
    require_count("count", count, least=1)
    return " ".join(score.site for score in scores[:count])


@neutrally
def with_gains(
    subject: Subject,
    text: Text,
    scores: Sequence[HeadScore],
    count: int,
    *,
    settings: Settings,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> tuple[HeadScore, ...]:
    """Add what the gain in context loses when each of the first heads alone is mean-ablated.

    In nats per token of the second copy: a head's score says where it looks, this says what comes
    of it. Heads that stand in for each other each lose little alone.

    Args:
        subject: The model.
        text: Repeated random tokens, as for the scores.
        scores: Heads, strongest first.
        count: How many of them to ablate.
        settings: Level, resamples and seed.
        folder: Where finished batches are kept and found again.
        workers: Who does the work: this process, or those of a cluster.
        progress: Told about every finished batch.

    Raises:
        MeasurementError: The count is below 0, the model is in half precision, a loss is not
            finite, or what is finished cannot be kept.
        SiteError: A head is not of this model.
        TextError: A part has no documents, or the text is of another model's tokens.
    """
    require_count("count", count, least=0)
    chosen = [score.site for score in scores[:count]]
    if not chosen:
        return tuple(scores)
    sites = components(subject, " ".join(chosen), heads=True)
    subject.require_full_precision("The gain in context of single heads")
    require_tokens(subject, text, "eval", "fit")
    require_folder(folder, subject)
    values = [value_site(site) for site in sites]
    recorded = observe(subject, text, values, folder=folder, workers=workers)
    mean = ABLATIONS.get("mean")
    conditions = [mean.fit(recorded, [site], settings.seed).condition(str(site)) for site in sites]
    ledger = evaluate(subject, text, conditions, folder=folder, workers=workers, progress=progress)
    found = context_gain(ledger, chosen, settings=settings)
    lost = found.lost if found else {}
    return tuple(score.model_copy(update={"gain_lost": lost.get(score.site)}) for score in scores)


def scored(run: Run, ablate: int, *, twin: bool) -> tuple[HeadScore, ...]:
    """Every head's scores on repeated random tokens, and what ablating the first so many loses.

    Args:
        run: Its text of repeated tokens, if it has one, is where heads are scored.
        ablate: For how many of the strongest to measure the gain in context lost, each alone.
        twin: Whether the random-weight twin is scored beside.
    """
    text = repeats(run)
    scores = head_scores(
        run.subject, text, twin=run.subject.twin(run.settings.seed) if twin else None,
        **run.how(f"scoring every head on {text.name}"),
    )  # fmt: skip
    return with_gains(
        run.subject, text, scores, ablate, settings=run.settings,
        **run.how("ablating each head alone"),
    )  # fmt: skip


def repeats(run: Run) -> Text:
    """Repeated random tokens, where heads are scored: the run's own, or as long as its texts."""
    return next((one for one in run.texts if one.name == "repeats"), None) or read_text(
        "repeats", run.subject, documents=16, fit_documents=32,
        block=max((one.block for one in run.texts), default=128), seed=run.settings.seed,
    )  # fmt: skip


def attention_of(run: Run, head: Site, rule: str) -> Number:
    """One head's attention on a rule's targets, the mean over documents, with its interval.

    Args:
        run: Its text is where the head is looked at.
        head: The head.
        rule: `induction`, `previous_token` or `duplicate_token`.
    """
    each = by_document(run, [head], [rule])[rule][0]
    found = mean_per_token(each, np.ones(each.size), settings=run.settings, unit="attention")
    return within(found, 0, 1).model_copy(update={"unit": SHARE})


def by_document(
    run: Run, heads: Sequence[Site], rules: Collection[str]
) -> dict[str, NDArray[np.float64]]:
    """Of some rules every head's attention on its targets, (head, document)."""
    every = attention_by_batch(
        run.subject, run.text, ONE_DOCUMENT, **run.how("where every head looks")
    )
    at = [head.layer for head in heads], [head.index for head in heads]
    return {
        rule: np.stack([(total[at] / max(count, 1.0)).numpy() for total, count in every[rule]], 1)
        for rule in rules
    }
