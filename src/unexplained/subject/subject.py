"""A causal language model opened up: its sites can be read and edited."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from unexplained.errors import MeasurementError
from unexplained.sites import Shape, Site, parse
from unexplained.subject.anatomy import Anatomy
from unexplained.subject.edits import Batch, Edit
from unexplained.subject.precision import Precision
from unexplained.subject.prefix import Prefix, run_prefix
from unexplained.subject.run import Copy, Pass, Resume, run


@dataclass(frozen=True, eq=False)
class Subject:
    """The model under study. Made by `load`; measuring never writes to it."""

    name: str
    anatomy: Anatomy
    tokenizer: PreTrainedTokenizerBase
    precision: Precision
    notes: tuple[str, ...] = ()
    """Where it came from and what was decided on loading; printed with every record."""

    @property
    def shape(self) -> Shape:
        """Layers, heads, widths."""
        return self.anatomy.shape

    @property
    def device(self) -> torch.device:
        """Where the tokens must be."""
        weight = self.anatomy.model.get_input_embeddings().weight  # type: ignore[operator]
        return torch.device(weight.device)

    @cached_property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of configuration and weights."""
        digest = hashlib.sha256()
        config: Any = self.anatomy.model.config
        kept = {k: v for k, v in config.to_diff_dict().items() if not k.startswith(_VOLATILE)}
        digest.update(repr(sorted(kept.items(), key=str)).encode())
        for name, tensor in sorted(self.anatomy.model.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            flat = tensor.detach().cpu().contiguous().flatten()
            digest.update(flat.view(torch.uint8).numpy().data)
        return digest.hexdigest()[:16]

    def require_full_precision(self, what: str) -> None:
        """Refuse half precision for effects of single components: its rounding is of their size.

        Raises:
            MeasurementError: The weights are not float32 or wider.
        """
        kind = next(self.anatomy.model.parameters()).dtype
        if torch.finfo(kind).bits < 32:
            raise MeasurementError(
                f"{what} of {self.name} in {str(kind).removeprefix('torch.')}",
                "in half precision the effect of a single head has moved by up to 0.004 nats per "
                "token, where effects were −0.004 to 0.0185",
                "Load it in float32.",
            )

    def sites(self, text: str) -> tuple[Site, ...]:
        """Expand addresses such as `L18.H6 L17.H3-5` (SiteError where they do not exist)."""
        return parse(text, self.shape)

    def run(
        self,
        batch: Batch,
        edits: Sequence[Edit] = (),
        *,
        keep: Sequence[Site] = (),
        keep_streams: Sequence[int] = (),
        direct: Sequence[Sequence[Edit]] = (),
        resume: Resume | None = None,
        prefix: Prefix | None = None,
        copies: Sequence[Copy] = (),
    ) -> Pass:
        """One forward pass; see `unexplained.subject.run.run`."""
        with self.precision.applied():
            return run(
                self.anatomy,
                batch,
                edits,
                keep=keep,
                keep_streams=keep_streams,
                direct=direct,
                resume=resume,
                prefix=prefix,
                copies=copies,
            )

    def prefix(self, tokens: Tensor) -> Prefix:
        """Run the beginning (batch, position) that passes share; give it to `run`."""
        with self.precision.applied():
            return run_prefix(self.anatomy, tokens)

    def logits(self, normed: Tensor, columns: slice = slice(None)) -> Tensor:
        """Logits from the final norm's output, (…, vocabulary) or some of its columns.

        Ask for few positions or few columns at a time: together they are large.
        """
        with torch.no_grad(), self.precision.applied():
            return self.anatomy.logits(normed, columns)

    def logits_of(self, normed: Tensor, ids: Tensor) -> Tensor:
        """Logits of every row (n, width) for columns of its own, (n, k) ids -> (n, k)."""
        with torch.no_grad(), self.precision.applied():
            return self.anatomy.logits_of(normed, ids)

    def twin(self, seed: int) -> Subject:
        """The same architecture with random weights: what structure alone would score.

        The weights are drawn by the architecture's own initialisation, so the twin is an
        untrained model, not a shuffled one.
        """
        with _seeded(seed):
            config: Any = self.anatomy.model.config
            model = AutoModelForCausalLM.from_config(
                config, dtype=next(self.anatomy.model.parameters()).dtype
            )
        return replace(
            self,
            name=f"{self.name}, random weights (seed {seed})",
            anatomy=Anatomy.of(model.to(self.device).eval()),
            notes=(f"initialised at random with seed {seed}, never trained",),
        )


_VOLATILE = ("_name_or_path", "transformers_version", "dtype", "architectures", "_attn")
"""Configuration entries that say where a copy came from, not what it computes."""


@contextmanager
def _seeded(seed: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
