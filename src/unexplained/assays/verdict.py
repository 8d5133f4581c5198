"""The record in a sentence, and which of the founding dialogue's statements it bears on."""

from __future__ import annotations

from collections.abc import Sequence

from unexplained.record import Crux, TextResult
from unexplained.shares import FEW, percent
from unexplained.stats import written


def verdict_of(texts: Sequence[TextResult], primary: str, heads: int, reference: str) -> str:
    """What was found on each text, in words; never a bare pass or fail."""
    parts = []
    for text in texts:
        row = text.row(primary)
        cost = text.damage[reference]
        share, variance = row.recovered[reference], row.variance
        said = (
            f"on {text.name} it accounts for {percent(share)} of what {reference} ablation of the "
            f"{heads} component{'s' if heads > 1 else ''} costs "
            f"({written(cost, spec='.4f')} nats per token)"
            if share.value is not None and cost.low is not None
            else f"on {text.name} the share it accounts for is refused: {share.refused or FEW}"
        )
        if variance is not None and variance.low is not None:
            said += f", and for {percent(variance)} of the variance of their outputs"
        parts.append(said)
    sentence = "; ".join(parts)
    return f"“{primary[:1].upper()}{primary[1:]}”: {sentence}."


def cruxes_of(texts: Sequence[TextResult], primary: str, reference: str) -> tuple[Crux, ...]:
    """Which statements of the dialogue each text's numbers bear on, and how."""
    found: list[Crux] = []
    for text in texts:
        if primary == "strict induction":
            found.append(
                Crux(
                    speaker="Buck against Neel Nanda",
                    statement="strict induction explains less than 1% of such heads, or 10–20% of "
                    "the loss",
                    bearing=f"on {text.name}: {percent(text.row(primary).recovered[reference])} of "
                    f"the loss against {reference} ablation" + _of_compute(text, primary),
                )
            )
        found += [*_easy_bar(text, reference), *_weaker(text), *_compute(text, primary)]
    return tuple(found)


def _of_compute(text: TextResult, primary: str) -> str:
    share = _frontier(text, primary)
    return "" if share is None else f"; of the compute the explained model keeps {share}"


def _frontier(text: TextResult, condition: str) -> str | None:
    """The share of the frontier's compute by the curve that was chosen, in words."""
    if text.scale is None:
        return None
    kind = text.scale.kind
    for one in text.scale.explained:
        if one.condition == condition:
            share = one.shares.get(kind)
            far = ", extrapolated" if text.scale.extrapolated(one, kind) else ""
            return None if share is None else percent(share) + far
    return None


def _easy_bar(text: TextResult, reference: str) -> list[Crux]:
    """The best table of counts on the mean bar and on the gap bar."""
    known = {table.name for table in text.tables}
    tables = [one for one in text.bars if one.condition in known and one.loss.value is not None]
    if not tables:
        return []
    bars = min(tables, key=lambda one: one.loss.value or 0.0)
    mean = next((one.recovered for one in bars.baselines if one.baseline == reference), None)
    unigram = next((one.recovered for one in bars.baselines if one.baseline == "unigram"), None)
    gaps = [f"{percent(rung.score)} of the gap to {rung.rung}" for rung in bars.rungs]
    said = f"on {text.name} a {bars.condition} table, which explains nothing of the model, scores "
    said += ", ".join(
        [
            *([f"{percent(mean)} against {reference} ablation of the components"] if mean else []),
            *([f"{percent(unigram)} against a unigram table"] if unigram else []),
            *gaps[-1:],
        ]
    )
    return [
        Crux(
            speaker="Buck",
            statement="very high proportions of loss explained even if you don't explain anything "
            "about the parts of your model that are actually smart",
            bearing=said,
        )
    ]


def _weaker(text: TextResult) -> list[Crux]:
    """How high the fraction of a weaker model is that is offered as an explanation."""
    bars = next((one for one in text.bars if one.rungs), None)
    if bars is None:
        return []
    said = [
        f"{rung.rung} recovers {percent(rung.share['unigram'])} from unigram, "
        f"{percent(rung.share['bigram'])} from bigram"
        for rung in bars.rungs
        # Weaker for certain: of one that may be better nothing is said.
        if rung.gap.low is not None
        and rung.gap.low > 0
        and {"unigram", "bigram"} <= set(rung.share)
    ]
    if not said:
        return []
    return [
        Crux(
            speaker="Ryan Greenblatt",
            statement="if you have <98% perf explained, then you degrade from GPT4 perf to GPT3.5 "
            "perf",
            bearing=f"the same on this ladder, on {text.name}: " + "; ".join(said),
        )
    ]


def _compute(text: TextResult, primary: str) -> list[Crux]:
    share = _frontier(text, primary)
    if share is None:
        return []
    return [
        Crux(
            speaker="Ryan Greenblatt",
            statement="look at the absolute loss and determine where this is on an overall "
            "training compute scaling curve",
            bearing=f"of the training compute that the model's own loss on {text.name} is worth, "
            f"“{primary}” leaves {share}",
        )
    ]
