"""Behavioural scores of every head: how much of its attention goes where a rule would send it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from unexplained.ablations import ABLATIONS, value_site
from unexplained.bars import context_gain
from unexplained.errors import MeasurementError, require_count
from unexplained.evaluate import evaluate, observe
from unexplained.evaluate.batches import plan
from unexplained.evaluate.evaluate import BATCH_TOKENS, Progress
from unexplained.explanations import patterns
from unexplained.record import HeadScore
from unexplained.sites import Site
from unexplained.stats import Settings
from unexplained.study.asked import components, require_folder, require_tokens
from unexplained.subject import Edit, Local, Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text

RULES: dict[str, Callable[[Tensor], Tensor]] = {
    "induction": patterns.after_earlier_occurrence,
    "previous_token": patterns.previous,
    "duplicate_token": patterns.earlier_occurrence,
}
"""Where each rule would attend, (batch, to, from)."""


@dataclass
class _Share:
    """Running totals of attention on a rule's targets, by (layer, head)."""

    attention: Tensor
    rows: float = 0.0


@neutrally
def head_scores(
    subject: Subject,
    text: Text,
    *,
    twin: Subject | None = None,
    batch_tokens: int = BATCH_TOKENS,
    progress: Progress = lambda done, total: None,
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
        progress: Told about every finished batch.

    Raises:
        MeasurementError: The twin is of other sizes, or a pattern is not finite.
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
    scores = _scores(subject, text, batch_tokens, progress)
    other = _scores(twin, text, batch_tokens, progress) if twin is not None else None
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
    progress: Progress = lambda done, total: None,
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
    recorded = observe(subject, text, [value_site(site) for site in sites])
    mean = ABLATIONS.get("mean")
    conditions = [mean.fit(recorded, [site], settings.seed).condition(str(site)) for site in sites]
    ledger = evaluate(subject, text, conditions, folder=folder, progress=progress)
    found = context_gain(ledger, chosen, settings=settings)
    lost = found.lost if found else {}
    return tuple(score.model_copy(update={"gain_lost": lost.get(score.site)}) for score in scores)


def _scores(
    subject: Subject, text: Text, batch_tokens: int, progress: Progress
) -> dict[str, Tensor]:
    shape = subject.shape
    totals = {
        rule: _Share(torch.zeros(shape.layers, shape.heads, dtype=torch.float64)) for rule in RULES
    }
    plans = plan(text.eval, batch_tokens)
    for number, batch_plan in enumerate(plans):
        batch = batch_plan.batch(subject.device)
        masks = {}
        for rule, where in RULES.items():
            targets = (where(batch.tokens) > 0) & batch.valid[:, :, None]
            masks[rule] = targets.float()
            totals[rule].rows += float(targets.any(-1).sum())
        sites = [
            Site(layer, "H", head, "pattern")
            for layer in range(shape.layers)
            for head in range(shape.heads)
        ]
        subject.run(batch, [Edit(site, _watcher(masks, totals)) for site in sites])
        progress(number + 1, len(plans))
    return {rule: share.attention / max(share.rows, 1.0) for rule, share in totals.items()}


def _watcher(
    masks: dict[str, Tensor], totals: dict[str, _Share]
) -> Callable[[Local], Tensor | None]:
    def watch(local: Local) -> None:
        for rule, mask in masks.items():
            attention = float((local.value * mask).sum())
            if not math.isfinite(attention):
                raise MeasurementError(
                    f"The attention of {local.site}", "it is NaN or infinite",
                    "Load the model in float32.",
                )  # fmt: skip
            totals[rule].attention[local.site.layer, local.site.index] += attention

    return watch
