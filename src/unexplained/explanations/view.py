"""What an explanation's function sees of the place where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from unexplained.errors import ExplanationError
from unexplained.explanations.causal import Mixed
from unexplained.sites import MODEL_PARTS, Shape, Site, parse
from unexplained.subject import Local


class View:
    """What an explanation's function sees. Reading what was not declared is an error.

    What is read is a copy, so that writing to it changes nothing else: not the tokens of other
    conditions, nor values that the model or another head computes with.
    """

    def __init__(
        self, local: Local, reads: Sequence[str], elsewhere: Sequence[Site], gives: str
    ) -> None:
        self._local, self._reads, self._elsewhere = local, tuple(reads), tuple(elsewhere)
        self._gives = gives

    @property
    def tokens(self) -> Tensor:
        """(batch, position) int64; padding on the right is 0."""
        return self._read("tokens")

    @property
    def blank(self) -> Tensor:
        """Zeros of the shape that is to be given, in float32 at least: (batch, position, …)."""
        local = self._local
        kind = torch.promote_types(local.value.dtype, torch.float32)
        if self._gives == "pattern":
            batch, length = local.tokens.shape
            return local.value.new_zeros((batch, length, length), dtype=kind)
        return torch.zeros_like(local.own(self._gives), dtype=kind)

    @property
    def vocabulary(self) -> int:
        """How many tokens there are: told to programs that stand in for a whole model alone."""
        raise ExplanationError(
            f"Reading 'vocabulary' at {self._local.site}",
            "only an explanation of a whole model, which gives logits, is told it",
            'Give logits: @explanation(gives="logits", reads=["tokens"]).',
        )

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._read(name)

    def site(self, address: str) -> Tensor:
        """The value of another site, by the address that was declared in `reads`."""
        self._declared(address)
        for site in self._elsewhere:
            if str(site) == address:
                return self._local.elsewhere(site).clone()
        raise ExplanationError(f"Reading '{address}'", "it is no site of another component")

    def _read(self, name: str) -> Tensor:
        self._declared(name)
        read = self._local.tokens if name == "tokens" else self._local.own(name)
        return read.clone()

    def _declared(self, name: str) -> None:
        if name not in self._reads:
            raise ExplanationError(
                f"Reading '{name}' at {self._local.site}",
                f"the explanation declares that it reads {', '.join(self._reads) or 'nothing'}",
                f'Declare it: reads=["{name}", …]. What is read is part of the claim.',
            )


def mixed_local(local: Local, mixed: Mixed, read: Sequence[Site]) -> Local:
    """A place in a batch that is mixed from this one, with the model's values mixed alike."""

    def own(name: str) -> Tensor:
        return mixed.of(local.own(name), pattern=name == "pattern")

    sites = {
        site: mixed.of(local.elsewhere(site), pattern=site.value == "pattern")
        for site in read
        if site in local._elsewhere
    }
    batch = replace(
        local.batch,
        tokens=mixed.of(local.tokens),
        valid=torch.ones_like(mixed.kept),
        documents=tuple(local.batch.documents[i] for i in mixed.home.tolist()),
    )
    return replace(local, batch=batch, _own=own, _elsewhere=sites)


def elsewhere(reads: Sequence[str], shape: Shape) -> tuple[Site, ...]:
    """The declared reads that are addresses of other components."""
    return tuple(site for name in reads if is_address(name) for site in parse(name, shape))


def is_address(name: str) -> bool:
    """Whether what is declared to be read is a site of another component, and no value of its own."""
    return "." in name or name in MODEL_PARTS
