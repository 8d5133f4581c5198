"""Written programs as arms: each stands in the place of the whole model."""

from __future__ import annotations

from typing import Any

from unexplained.explanations import Explanation, fit_program
from unexplained.study.arm import Arm, arm
from unexplained.study.run import Run


def program(run: Run, explanation: Explanation) -> Arm:
    """A program ready to predict the run's text, with the same program on shuffled documents as control.

    Args:
        run: A subject with its texts, settings and workers.
        explanation: One that gives logits.

    Raises:
        ExplanationError: It gives no logits, raised, or returned something that cannot stand in.
        TextError: There is no other document for the control to read, or none to fit on.
    """
    shuffled = _arm(run, explanation.on_shuffled(), role="control", of=explanation.name)
    return _arm(run, explanation, role="explanation", controls=(shuffled,))


def _arm(run: Run, claim: Explanation, **card: Any) -> Arm:
    written = fit_program(claim, run.text, seed=run.settings.seed)
    fitted = written.calibration
    return arm(
        written.condition(), says=claim.says, method=claim.method, reads=claim.reads,
        description=written.description, fit_tokens=None if fitted is None else fitted.tokens, **card,
    )  # fmt: skip
