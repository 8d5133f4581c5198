"""What `load` changes about a model that somebody else owns, and how it is put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from unexplained.subject.ambient import LOCK


@dataclass(frozen=True)
class Lent:
    """A model's attention, its modules' modes and its device, as they were before it was opened."""

    model: nn.Module
    attention: str
    training: tuple[nn.Module, ...]
    """Modules that were in training mode."""
    device: torch.device | None
    """None where weights lie on several."""

    @classmethod
    def of(cls, model: nn.Module) -> Lent:
        """Remember how a model is."""
        config: Any = model.config
        devices = {weight.device for weight in model.parameters()}
        return cls(
            model,
            str(config._attn_implementation),
            tuple(module for module in model.modules() if module.training),
            devices.pop() if len(devices) == 1 else None,
        )

    def give_back(self) -> None:
        """Put all of it back."""
        with LOCK:
            self.model.set_attn_implementation(self.attention)  # type: ignore[operator]
            for module in self.training:
                module.training = True
            if self.device is not None:
                self.model.to(self.device)
