"""What is left of a head that may do copy suppression alone (McDougall, Conmy, Rushing, McGrath, Nanda 2023).

A head moves from a source s to a destination d the vector r_ds = A_ds v_s W_O, which counts against
m_ds = A_ds r̄_d: r̄_d is its mean output at that position. Copy suppression is that it attends to
tokens of the context which are about to be predicted, and lowers just those. So two things are kept:

    OV   of r_ds − m_ds its component along the unembedding of the token at s, where that is negative
    QK   sources whose token is among the 5% of distinct tokens of the context that the stream before
         the head predicts most at d, by the logit lens; every occurrence of such a token counts

All else is m_ds. This is `cspa_functions.py` of their repository with `only_keep_negative_components`,
K_semantic = 1 and attention to d itself allowed: unembeddings have the final norm's gain folded in and
are centred over the vocabulary, and the list of tokens below is never a source under QK. Where fewer
tokens are left than 5%, all that are left are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from unexplained.errors import MeasurementError
from unexplained.sites import Site
from unexplained.subject import Edit, Local, Subject

SHARE = 0.05
"""Of the context, the part that counts as predicted."""
CountedBy = Literal["positions", "distinct"]
"""5% of what: of the positions so far (as their code has it), or of the distinct tokens among them. Either
way so many distinct tokens are taken."""


@dataclass(frozen=True)
class KeptOfHead:
    """What is kept of a head."""

    ov: bool = True
    qk: CountedBy | None = "positions"
    other: bool = False
    """A control: every token's unembedding is that of another token, about as frequent."""


KEPT: dict[str, KeptOfHead] = {
    "OV": KeptOfHead(qk=None),
    "QK": KeptOfHead(ov=False),
    "both": KeptOfHead(),
    "QK, of distinct": KeptOfHead(ov=False, qk="distinct"),
    "both, of distinct": KeptOfHead(qk="distinct"),
    "both, other tokens": KeptOfHead(other=True),
}
"""By name; besides these, `mean`: nothing is."""

_WORDS = (
    "a the an to of in that for it with as was The are by have this will they their which about In like "
    "them some when It what its only how most This these very much those such But You If take As For They "
    "That When To almost With However These By takes While whose Of THE From aren perhaps whatever Like "
    "Their Those Its Thus Such Much Between meanwhile nevertheless at now you your once and all He her my"
)
_BARE = (
    "The It the But As When That To With While By with However Of Those Their Its to you your Now"
)
FUNCTION = frozenset(
    [f" {word}" for word in _WORDS.split()]
    + _BARE.split()
    + ["'s", ".", ",", "?", "!", " '", "'", ' "', '"', "<|endoftext|>"]
    + [chr(i) for i in (*range(9), *range(9, 32), 127)]
)
"""Words and signs that a head is not taken to suppress: their list."""


def function_tokens(subject: Subject) -> Tensor:
    """Which of the vocabulary are in `FUNCTION`, (vocabulary,) bool."""
    found = torch.zeros(subject.shape.vocabulary, dtype=torch.bool)
    tokenizer: Any = subject.tokenizer
    for text in FUNCTION:
        try:
            ids = tokenizer.encode(text, add_special_tokens=False)
        except Exception:  # what a tokenizer raises that has no token for what it does not know
            continue
        if len(ids) == 1 and tokenizer.decode(ids) == text:
            found[ids[0]] = True
    return found


@dataclass(frozen=True)
class Unembedding:
    """The directions in the stream that tokens' logits read, as if the final norm only scaled."""

    subject: Subject

    @classmethod
    def of(cls, subject: Subject) -> Unembedding:
        """Of a model whose heads add to the stream as they are, and whose logits are not bent.

        Raises:
            MeasurementError: Its heads' outputs pass a norm first, or it caps its logits.
        """
        anatomy, asked = subject.anatomy, f"Copy suppression in {subject.name}"
        if anatomy.architecture.attention_post_norm:
            raise MeasurementError(
                asked,
                "its attention passes a norm before it is added to the stream, and the definition adds "
                "up what heads write as it is",
                "Take a model without such a norm (Llama, GPT-2, GPT-NeoX, Qwen).",
            )
        if getattr(anatomy.model.config, "final_logit_softcapping", None) is not None:
            raise MeasurementError(
                asked,
                "this model caps its logits softly, and parts of a bent logit do not add up",
                "Take a model that does not.",
            )
        return cls(subject)

    @property
    def weight(self) -> Tensor:
        """(vocabulary, width), as the model has it."""
        found = self.subject.anatomy.unembed.weight
        assert isinstance(found, Tensor)
        return found.detach()

    @cached_property
    def gain(self) -> Tensor:
        """The final norm's, (width,)."""
        anatomy = self.subject.anatomy
        blank = torch.ones(1, self.subject.shape.width, device=self.weight.device)
        return anatomy.norm_frame(anatomy.final_norm, blank)[2]

    @cached_property
    def mean(self) -> Tensor:
        """Over the vocabulary, (width,)."""
        return self.weight.mean(0)

    @property
    def shift(self) -> int:
        """How far on in the vocabulary, which is in the order of frequency, the other token is."""
        return min(101, self.subject.shape.vocabulary // 2)

    def rows(self, ids: Tensor | slice, *, other: bool = False) -> Tensor:
        """Of some tokens, or of the others in their place, (…, width)."""
        if other and isinstance(ids, Tensor):
            ids = (ids + self.shift) % self.subject.shape.vocabulary
        return self.folded(self.weight[ids])

    def folded(self, vectors: Tensor) -> Tensor:
        """Of mixtures of the model's own rows, (…, width), with weights that add up to 1."""
        found = (vectors - self.mean) * self.gain
        if (
            self.subject.anatomy.architecture.norm == "layer"
        ):  # the norm takes the mean out of what it reads
            found = found - found.mean(-1, keepdim=True)
        return found

    def scale(self, stream: Tensor) -> Tensor:
        """What final streams (…, width) and all that is added to them are multiplied by, (…, 1)."""
        anatomy = self.subject.anatomy
        divisor = anatomy.architecture.logits_divisor(anatomy.model.config)
        return anatomy.norm_scale(anatomy.final_norm, stream) / divisor


class DistinctTokens:
    """The distinct tokens of a document: where each stands, and which are predicted where."""

    def __init__(self, tokens: Tensor, unembedding: Unembedding, function: Tensor) -> None:
        """Take the tokens (position,) and which of the vocabulary are no sources under QK."""
        self.ids, self.at = torch.unique(tokens, return_inverse=True)
        """The distinct tokens, and of every position its own among them."""
        self.length, device = len(tokens), tokens.device
        first = torch.full((len(self.ids),), self.length, device=device)
        places = torch.arange(self.length, device=device)
        self.first = first.scatter_reduce(0, self.at, places, "amin")
        self.content = ~function.to(device)[self.ids]
        self.rows = {other: unembedding.rows(self.ids, other=other) for other in (False, True)}
        self.units = {
            other: torch.nn.functional.normalize(rows, dim=-1) for other, rows in self.rows.items()
        }

    def predicted(self, stream: Tensor, places: Tensor, kept: KeptOfHead) -> Tensor:
        """Which distinct tokens are kept at some destinations, (destination, token) bool.

        Args:
            stream: Before the head, at the destinations, (destination, width).
            places: Which positions those are, (destination,).
            kept: Of what 5% are taken.
        """
        seen = self.first <= places[:, None]
        if kept.qk is None:
            return seen
        if kept.qk == "positions":
            most = torch.ceil(SHARE * (places + 1).double())
        else:
            most = torch.ceil(SHARE * seen.sum(-1).double())
        lens = (stream @ self.rows[kept.other].T).masked_fill(~(seen & self.content), -torch.inf)
        order = torch.sort(lens, dim=-1, descending=True, stable=True).indices
        rank = torch.empty_like(order).scatter_(
            -1, order, torch.arange(len(self.ids), device=order.device).expand_as(order)
        )
        return (rank < most[:, None]) & seen & self.content


def kept_z(
    document: DistinctTokens, predicted: Tensor, *, pattern: Tensor, v: Tensor, mean: Tensor
) -> Tensor:
    """What QK alone keeps of a head beyond its mean, (destination, head size); see `kept_along`."""
    attended = pattern * predicted[:, document.at]
    return attended @ v - attended.sum(-1, keepdim=True) * mean


def kept_along(
    document: DistinctTokens,
    predicted: Tensor,
    *,
    pattern: Tensor,
    v: Tensor,
    mean: Tensor,
    weight: Tensor,
    other: bool = False,
) -> Tensor:
    """What OV keeps of a head beyond its mean: how much along each token, (destination, distinct token).

    Args:
        document: Its tokens.
        predicted: Which of them are kept, (destination, distinct token).
        pattern: (destination, source).
        v: (source, head size).
        mean: The head's mean z at the destinations, (destination, head size).
        weight: W_O, (head size, width).
        other: Along another token instead.
    """
    reads = document.units[other] @ weight.T  # what W_O puts along a token, (token, head size)
    own = (v * reads[document.at]).sum(-1)
    suppressing = (own - (mean @ reads.T)[:, document.at]).clamp(max=0)
    attended = pattern * predicted[:, document.at]
    blank = pattern.new_zeros(len(pattern), len(document.ids))
    return blank.index_add(1, document.at, attended * suppressing)


def stand_in(subject: Subject, head: Site, means: Tensor, kept: KeptOfHead | None) -> Edit:
    """Put what is kept of a head in its place, in a pass that goes on from there.

    Args:
        subject: The model.
        head: Which.
        means: Its mean z by position, (position, head size).
        kept: What is kept; None: nothing, so that its mean stands there.
    """
    unembedding, function = Unembedding.of(subject), function_tokens(subject)
    weight = subject.anatomy.head_weight(head.layer, head.index)
    pattern, v, stream = head.at("pattern"), head.at("v"), Site(head.layer, "resid_pre")

    def say(local: Local) -> Tensor:
        said = (means[: local.tokens.shape[1]].to(local.value) @ weight).expand_as(local.value)
        if kept is None:
            return said
        said = said.clone()
        for row, size in enumerate(local.batch.valid.sum(-1).tolist()):
            document = DistinctTokens(local.tokens[row, :size], unembedding, function)
            at = torch.arange(size, device=local.tokens.device)
            predicted = document.predicted(local.elsewhere(stream)[row, :size], at, kept)
            seen = {
                "pattern": local.elsewhere(pattern)[row, :size, :size],
                "v": local.elsewhere(v)[row, :size],
                "mean": means[:size].to(local.value),
            }
            if kept.ov:
                along = kept_along(document, predicted, **seen, weight=weight, other=kept.other)
                said[row, :size] += along @ document.units[kept.other]
            else:
                said[row, :size] += kept_z(document, predicted, **seen) @ weight
        return said

    return Edit(head.at("out"), say, reads=(pattern, v, stream))
