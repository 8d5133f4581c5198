"""The record in a sentence, and which of the founding dialogue's statements it bears on."""

from __future__ import annotations

from collections.abc import Sequence

from unexplained.record import Crux, Number, TextResult
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
            f"({cost.value:.4f} nats per token)"
            if share.value is not None and cost.value is not None
            else f"on {text.name} the share it accounts for is refused: {share.refused}"
        )
        if variance is not None and variance.value is not None:
            said += f", and for {percent(variance)} of the variance of their outputs"
        parts.append(said)
    sentence = "; ".join(parts)
    return f"“{primary[:1].upper()}{primary[1:]}”: {sentence}."


def cruxes_of(texts: Sequence[TextResult], primary: str, reference: str) -> tuple[Crux, ...]:
    """Where the strict rule's number falls beside the dialogue's two guesses."""
    if primary != "strict induction":
        return ()
    return tuple(
        Crux(
            speaker="Buck against Neel Nanda",
            statement="strict induction explains less than 1% of such heads, or 10–20% of the loss",
            bearing=f"on {text.name}: {percent(text.row(primary).recovered[reference])} of the "
            f"loss against {reference} ablation",
        )
        for text in texts
    )


def percent(number: Number) -> str:
    """A share in per cent with its interval, or the word refused."""
    if number.value is None:
        return f"(refused: {number.refused})"
    if number.low is None or number.high is None:
        return written(number, scale=100, spec=".1f", mark="%")
    # No digit that the interval makes meaningless.
    spec = ".1f" if number.high - number.low < 0.05 else ".0f"
    return written(number, scale=100, spec=spec, mark="%")
