"""A family of models on one text: loss by byte against training compute, and who stands where."""

from __future__ import annotations

from typing import Literal

from unexplained.record.base import Frozen, KindRecord, Number
from unexplained.record.compute import Scale


class FamilyModel(Frozen):
    """A model on the text."""

    name: str
    fingerprint: str
    compute: float | None
    """Training FLOPs as they were given; null where the model is only placed on the curve."""
    parameters: int
    vocabulary: int
    tokens: int
    """Into how many tokens it cuts what is scored."""
    nats_per_token: float
    """Not comparable between tokenizers."""
    bits_per_byte: Number


class FamilyRecord(KindRecord):
    """A measured curve of loss against training compute, whatever the tokenizers."""

    kind: Literal["family"] = "family"
    text: str
    text_notes: tuple[str, ...] = ()
    text_fingerprints: dict[str, str]
    """By model: of the tokens that its tokenizer makes of the text."""
    documents: int
    bytes: int
    """UTF-8 bytes that are scored, the same ones for every model."""
    models: tuple[FamilyModel, ...]
    """The family from the least compute on, then those that are placed."""
    scale: Scale
