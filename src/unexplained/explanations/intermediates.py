"""An explanation by way of intermediates: what it says the model holds on the way, each at a site of its own.

Its function asks for a site, and is given what the intermediate claims of it instead of what the model holds.
So the whole reads only what its intermediates read, and each of them, as the last step, which goes on from
what the model really holds, can be held against the model by itself (`study.steps`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from unexplained.errors import ExplanationError
from unexplained.explanations.view import View, is_address
from unexplained.sites import HEAD_VALUES

if TYPE_CHECKING:
    from unexplained.explanations.protocol import Explanation

Intermediates = tuple[tuple[str, "Explanation"], ...]
"""Claims by the address of what they give (`L0.H0.out`), in the order of the pass."""


class Within(View):
    """A view in which sites that are claimed hold what is claimed of them."""

    def __init__(
        self, view: View, reads: Sequence[str], gives: str, last: str, claimed: Intermediates
    ) -> None:
        self._view, self._reads, self._gives, self._last = view, tuple(reads), gives, last
        self._claimed = claimed

    @property
    def blank(self) -> Tensor:
        """Zeros of the shape that is to be given, where that is a pattern or what the whole gives too."""
        if self._gives == self._last:
            return self._view.blank
        if self._gives == "pattern":
            tokens = self._view.tokens
            return tokens.new_zeros((*tokens.shape, tokens.shape[1])).float()
        raise ExplanationError(
            f"view.blank of an intermediate that gives '{self._gives}'",
            f"the explanation that it belongs to gives '{self._last}', of another shape",
            "Make zeros of the shape: torch.zeros(*view.tokens.shape, width).",
        )

    def site(self, address: str) -> Tensor:
        """What is claimed of a site, or what the model holds where nothing is."""
        for number, (at, one) in enumerate(self._claimed):
            if at == address:
                before = self._claimed[:number]
                return one.function(Within(self._view, one.reads, one.gives, self._last, before))
        self._declared(address)
        return self._view.site(address)

    def _read(self, name: str) -> Tensor:
        self._declared(name)
        return self._view.tokens if name == "tokens" else getattr(self._view, name)


def composed(
    function: Callable[[View], Tensor], reads: Sequence[str], gives: str, claimed: Intermediates
) -> Callable[[View], Tensor]:
    """The function of the whole: its intermediates are asked in the place of the model."""

    def whole(view: View) -> Tensor:
        return function(Within(view, reads, gives, gives, claimed))

    return whole


def read_by_all(reads: Sequence[str], claimed: Intermediates) -> tuple[str, ...]:
    """What the whole reads of the model: what somebody in it reads and nobody before claims."""
    found = dict.fromkeys(name for name in reads if name not in dict(claimed))
    for number, (_, one) in enumerate(claimed):
        found |= dict.fromkeys(name for name in one.reads if name not in dict(claimed[:number]))
    return tuple(found)


def require_intermediates(title: str, claimed: Mapping[str, Explanation]) -> None:
    """Refuse what cannot be asked in the place of a site.

    Raises:
        ExplanationError: One gives another value than its address names, has something fitted or
            intermediates of its own, or reads values of its own component without an address.
    """
    for at, one in claimed.items():
        asked, tail = f"The intermediate '{one.name}' of '{title}' at {at}", at.rpartition(".")[2]
        value = tail if tail in HEAD_VALUES else "value"
        own = [name for name in one.reads if name != "tokens" and not is_address(name)]
        if one.gives != value:
            raise ExplanationError(
                asked, f"it gives '{one.gives}', and the address names a {value}",
                f'Name what it gives, such as "L0.H0.{one.gives}".' if one.gives != "value"
                else 'Name a component with one value, such as "L0.mlp".',
            )  # fmt: skip
        if one.is_fitted or one.shuffled or one.intermediates:
            raise ExplanationError(
                asked, "it is a variant with something fitted, on another document, or in steps itself",
                "Give it as it was written; list all intermediates, in the order of the pass.",
            )  # fmt: skip
        if own:
            raise ExplanationError(
                asked, f"it reads {', '.join(own)} of its own component",
                f"Read it by its address, such as {at.partition('.')[0]}.….{own[0]}.",
            )  # fmt: skip
