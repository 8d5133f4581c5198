"""Copy suppression as arms: what is kept of a head by its authors' definition, put in the head's place."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from unexplained.bars.cards import NOTHING_RECOVERED, Must
from unexplained.evaluate import Edited
from unexplained.evaluate.conditions import tensor_digest
from unexplained.evaluate.copying import KEPT, KeptOfHead, stand_in
from unexplained.hashing import digest
from unexplained.sites import Site
from unexplained.study.arm import Arm, arm
from unexplained.study.run import Run

SAYS = (
    "Lowers the logits of those tokens of the context that are predicted most, by attending to them; "
    "the rest is the head's mean at that position."
)
TOLERANCE = 1e-4
"""Nats per token: what the same sum in another order of arithmetic may move."""
ALL = KeptOfHead(ov=False, qk=None)
OTHER = "both, other tokens"
"""The control: the same rule, for other tokens about as frequent."""


def mean_of(head: Site) -> str:
    """What the arm of a head's mean is called."""
    return f"mean at {head}"


def name_of(head: Site, kept: str = "both") -> str:
    """What the arm is called in which so much is kept of a head."""
    return f"copy suppression at {head}" + ("" if kept == "both" else f", {kept}")


def suppressed(
    run: Run, head: Site, means: Tensor, fitted_on: str, *, of: str = "", more: bool = False
) -> list[Arm]:
    """A head's mean by position, and what is kept of it.

    Args:
        run: Of which model.
        head: The head.
        means: Its mean z by position, (position, head size).
        fitted_on: The model whose means those are.
        of: The arm whose controls stand for this one; with controls of its own if empty.
        more: Whether OV and QK alone and the other reading of 5% are measured as well.
    """

    def made(name: str, kept: KeptOfHead | None, **card: object) -> Arm:
        mark = digest("copy suppression", repr(kept), str(head), tensor_digest([means]))
        edit = stand_in(run.subject, head, means, kept)
        condition = Edited(name, (edit,), mark, fitted_on=fitted_on)
        return arm(condition, method="mech", **card)  # type: ignore[arg-type]

    mean, name = mean_of(head), name_of(head)
    controls = () if of else _controls(made, head)
    about: Mapping[str, object] = {
        "role": "explanation",
        "says": SAYS,
        "reads": _READS,
        "leaves": _LEAVES,
    }
    nothing = "Nothing is claimed: the mean over the fit part at the same position."
    found = [
        made(mean, None, role="ablation", says=nothing),
        made(name, KEPT["both"], **about, controls=controls, of=of),
    ]
    others = [one for one in KEPT if one not in ("both", OTHER)] if more else []
    return found + [made(name_of(head, one), KEPT[one], **about, of=of or name) for one in others]


_READS = ("tokens", "pattern", "v", "the stream before the layer", "unembedding")
_LEAVES = ("queries and keys", "values", "output matrix")


def _controls(made: object, head: Site) -> tuple[Arm, ...]:
    """Nothing restricted is the head itself, and other tokens in the place of the context's recover nothing."""
    assert callable(made)
    mean, name = mean_of(head), name_of(head)
    itself = Must(
        gives="the same", of="intact", tolerance=TOLERANCE,
        expected=f"the intact model's loss in every document, to {TOLERANCE:g} nats per token",
    )  # fmt: skip
    nothing = Must(
        gives="nothing", of=mean,
        expected=f"{NOTHING_RECOVERED}; a token about as frequent stands for each of the context's",
    )  # fmt: skip
    return (
        made(f"{name}, nothing restricted", ALL, role="control", of=name, must=itself),
        made(name_of(head, OTHER), KEPT[OTHER], role="control", of=name, must=nothing),
    )  # fmt: skip
