"""Tables of counts as arms: what next-token statistics of a text know, without any model."""

from __future__ import annotations

from unexplained.evaluate import Other
from unexplained.study.arm import Arm, arm
from unexplained.study.run import Run
from unexplained.text.ngrams import ngrams


def tables(run: Run) -> list[Arm]:
    """Uniform, unigram, bigram and trigram, counted on the fit part of the run's text.

    Raises:
        TextError: There is nothing to count.
    """
    return [
        arm(Other(one.name, one), role="baseline", says=one.says, method="black-box",
            counted=one.counted)
        for one in ngrams(run.text, say=run.say)
    ]  # fmt: skip
