"""What kind of claim an explanation is, and how long it is."""

from __future__ import annotations

from typing import Literal

from unexplained.record.base import Frozen

Method = Literal["mech", "high-level", "internals", "black-box"]
"""Item 107's tag: mechanistic, high-level, other internals, black-box."""


class Description(Frozen):
    """How long the explanation is (docs/description-length.md)."""

    code_bits: int
    parameters: int
    parameter_bits: int
    lent: int = 0
    """Parameters of the model that compute what is read of it; of older records, which did not
    count them, 0."""
    lent_bits: int = 0

    @property
    def bits(self) -> int:
        """Bits of code, of fitted parameters and of those that the model lends, together."""
        return self.code_bits + self.parameter_bits + self.lent_bits
