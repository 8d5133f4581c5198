"""What a record of a family of models, measured by byte, shows."""

from __future__ import annotations

from unexplained.bars import scales
from unexplained.record import FamilyRecord
from unexplained.record.blocks import Block, Column, Prose, Row, Section, Table
from unexplained.report.drawn import Shown

ASKED = (
    "The losses are divided by the bytes of the same characters, so that models of different "
    "tokenizers have a place on one axis."
)
PLACED = (
    "Models whose compute was not given are as good as a model of this family trained with so many "
    "FLOPs. A model of another recipe, on other data, may have had more or less."
)


def shown(record: FamilyRecord) -> Shown:
    """The blocks of a record."""
    scale = record.scale
    asked = f"{ASKED} {PLACED}" if scale.explained else ASKED
    blocks: list[Block] = [
        _facts(record),
        _models(record),
        scales.compute(scale, {}, asked=asked),
        *(Prose(words=note, manner="aside") for note in record.text_notes),
    ]
    sheet = {model.name: model.fingerprint for model in record.models}
    sheet |= {f"Text of {name}": mark for name, mark in record.text_fingerprints.items()}
    return Shown("family", blocks, sheet)


def _facts(record: FamilyRecord) -> Table:
    return Table(
        key="facts",
        facts=True,
        columns=(Column(key="is", heading=""),),
        rows=(
            Row(
                key="models",
                name="Models",
                cells=(f"{len(record.models):,}, the last {record.subject}",),
            ),
            Row(key="text", name="Text", cells=(record.text,)),
            Row(key="bytes", name="Bytes scored", cells=(record.bytes,)),
            Row(key="documents", name="Documents", cells=(record.documents,)),
        ),
    )


def _models(record: FamilyRecord) -> Section:
    rungs = {rung.name: f"rung {rung.rung}" for rung in record.scale.rungs}
    return Section(
        key="models",
        title="Loss by byte",
        blocks=(
            Prose(
                words="Every model predicts the same characters, each given what comes before them "
                "in its document, whatever tokens it cuts them into."
            ),
            Table(
                key="losses",
                caption="Documents are resampled together in all models. Nats per token are of each "
                "model's own tokens and cannot be compared between tokenizers.",
                corner="Model",
                columns=(
                    Column(key="compute", heading="Training compute, FLOPs", style="compute"),
                    Column(key="bits", heading="Bits per byte"),
                    Column(key="nats", heading="Nats per token"),
                    Column(key="tokens", heading="Tokens"),
                    Column(key="vocabulary", heading="Vocabulary"),
                    Column(key="parameters", heading="Parameters"),
                ),
                rows=tuple(
                    Row(key=m.name, name=m.name, note=rungs.get(m.name, ""),
                        cells=(m.compute, m.bits_per_byte, m.nats_per_token, m.tokens,
                               m.vocabulary, m.parameters))
                    for m in record.models
                ),
            ),
        ),
    )  # fmt: skip
