"""`family`: loss by byte against training compute, for models of any tokenizers.

What is scored is −log₂ p of the same characters for every model, each given what comes before them in
the document, divided by their UTF-8 bytes. Documents are resampled together in all models. The curve
is through this family on this text: another family's models, trained by another recipe on other data,
can be placed on it, and then the compute says "as good as a model of *this* family trained with".
It misleads where a model has seen the text; where computes are given by different conventions (6·N·D
with or without embeddings); and, as every law, beyond its models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from unexplained.bars import scales
from unexplained.errors import require_count
from unexplained.record import Number, Scale
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Block,
    Column,
    Prose,
    Row,
    Section,
    Table,
    fact,
    facts,
)
from unexplained.record.keys import step
from unexplained.shares import untold
from unexplained.study import Headline, Option, instrument, sheet
from unexplained.study.given import Members, Unpriced

if TYPE_CHECKING:
    from unexplained.ladder.members import Member
    from unexplained.study import Run
    from unexplained.study.axis import KeptModel
    from unexplained.text.alike import Alike

SAID = 2
"""Placed models that the verdict names."""
MOST = 8
"""Models of the family that the answer names: the least and the greatest."""
ASKED = (
    "The losses are divided by the bytes of the same characters, so that models of different "
    "tokenizers have a place on one axis."
)
PLACED = (
    "Models whose compute was not given are as good as a model of this family trained with so many "
    "FLOPs. A model of another recipe, on other data, may have had more or less."
)


class Loss(NamedTuple):
    """A model on the text."""

    name: str
    compute: float | None
    """Training FLOPs as they were given; None where it is only placed on the curve."""
    bits_per_byte: Number
    nats_per_token: float
    """Not comparable between tokenizers."""
    tokens: int
    """Into how many it cuts what is scored."""
    vocabulary: int
    parameters: int


def _members(given: Mapping[str, Any]) -> None:
    """Refuse models of which the compute is not given, and names of none."""
    from unexplained.ladder.members import member_of, require_members

    require_members(
        [
            *(member_of(one, curve=True) for one in given["members"]),
            *(member_of(one, curve=False) for one in given["place"] or ()),
        ]
    )


@instrument(
    "family",
    before=_members,
    texts=None,
    models="members",
    unpriced=Unpriced(
        "the models that it is given are the family",
        "Give them themselves: unexplained family MODEL=FLOPS MODEL=PARAMETERSxTOKENS …",
    ),
)
def family(
    run: Run,
    members: Annotated[
        Sequence[Member],
        Members(
            "MODEL=FLOPS or MODEL=PARAMETERSxTOKENS, such as pythia-70m=70e6x300e9 (then C = 6·N·D); "
            "a rung of the ladder needs no number."
        ),
    ],
    *,
    place: Annotated[
        Sequence[Member],
        Members("A model to be placed on the curve, not part of it.", default=(), curve=False),
    ],
    source: Annotated[
        str, Option("webmix, pydocs, or a file of yours.", option="--text")
    ] = "webmix",
    documents: Annotated[int, Option("Beginnings of so many documents.", least=1)] = 64,
    characters: Annotated[int, Option("Greatest length of a beginning.", least=128)] = 600,
    extrapolate: Annotated[bool, Option("Place also beyond the models; it is marked.")] = False,
) -> Iterator[Block | Headline]:
    """Fit loss against training compute through models of any tokenizers, in bits per byte.

    All models are measured on the same characters, one after another.

    Args:
        run: How it is run; its seed also draws the documents.
        members: Models with their training compute, at least three computes among them.
        place: Models without one, to be placed on the curve.
        source: A corpus or a path.
        documents: How many documents' beginnings.
        characters: Greatest length of a beginning; of all models' contexts the shortest must hold it.
        extrapolate: Place also what is beyond the family's own losses; it is marked.

    Raises:
        CurveError: There are fewer than three computes, or one is not positive and finite.
        MeasurementError: Two members share a name.
        TextError: A tokenizer does not give the characters back; a text is longer than a context.
    """
    every = [*members, *place]
    opened, cut = _cut(run, every, source, documents, characters)
    found, scale = _measured(run, every, opened, cut, extrapolate)
    text, known = cut.texts[0].name, [one for one in found if one.compute is not None]
    marks = {one.name: one.fingerprint for one in opened}
    marks |= {f"Text of {o.name}": t.fingerprint for o, t in zip(opened, cut.texts, strict=True)}
    title = f"A family of {len(known)} models, in bits per byte of {text}"
    yield Headline(title, _verdict(known, scale) + _placed(scale), marks)
    yield _answer(found, scale)
    yield facts(
        "facts",
        sheet.of_models([one.name for one in every]),
        fact("text", "Text", text),
        fact("bytes", "Bytes scored", int(cut.bytes.sum())),
        fact("documents", "Documents", len(cut.bytes)),
    )
    yield _by_byte(found, scale)
    yield _on_the_curve(scale)
    yield from (Prose(words=note, manner="aside") for note in cut.notes)


def _cut(
    run: Run, members: Sequence[Member], source: str, documents: int, characters: int
) -> tuple[list[KeptModel], Alike]:
    """The same characters for all models; what cannot be measured is refused before anything is run."""
    from unexplained.ladder.members import require_members
    from unexplained.study.axis import opened, require_positions
    from unexplained.text.alike import alike, require_documents

    require_members(members)
    require_count("documents", documents, least=1)
    require_count("characters", characters, least=1)
    require_documents(source, documents, characters)
    known = opened(run, members)
    seed = run.settings.seed
    cut = alike(source, known, documents=documents, characters=characters, seed=seed)
    require_positions(known, cut)
    return known, cut


def _measured(
    run: Run, members: Sequence[Member], opened: Sequence[KeptModel], cut: Alike, extrapolate: bool
) -> tuple[list[Loss], Scale]:
    """The family from the least compute on, then those that are placed; and the curve."""
    from unexplained.bars import loss
    from unexplained.ladder.measured import Measured
    from unexplained.ladder.members import scale_through
    from unexplained.ledger import Ledger
    from unexplained.study.axis import member_by_byte

    names = [one.name for one in members]
    read = Ledger.concat(
        member_by_byte(run, one, cut, number) for number, one in enumerate(members)
    )
    losses = {name: loss(read, name, settings=run.settings) for name in names}
    known = [replace(m, parameters=o.parameters) for m, o in zip(members, opened, strict=True)]
    scale = scale_through(
        known, Measured.of(read, names, run.settings), losses, settings=run.settings,
        extrapolate=extrapolate,
    )  # fmt: skip
    found = [
        Loss(one.name, member.compute, losses[one.name],
             float(read.sums(one.name).loss.sum() * math.log(2) / tokens), tokens,
             one.shape.vocabulary, one.parameters)
        for one, member, tokens in zip(opened, members, _scored(cut), strict=True)
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.compute or math.inf), scale


def _scored(cut: Alike) -> list[int]:
    """How many tokens of each model are scored."""
    return [
        sum(len(block.targets) - start for block, start in zip(text.eval, first, strict=True))
        for text, first in zip(cut.texts, cut.first, strict=True)
    ]


def _verdict(known: Sequence[Loss], scale: Scale) -> str:
    first, last = known[0], known[-1]
    if why := untold(first.bits_per_byte) or untold(last.bits_per_byte):
        return f"How many bits per byte these models have is refused: {why}."
    said = (
        f"{first.name} has {fmt.written(first.bits_per_byte)} and {last.name} "
        f"{fmt.written(last.bits_per_byte)} bits per byte"
    )
    if scale.law is None:
        return f"{said}; no law was fitted."
    # An interval without an end holds nearly everything: it is no test of the law.
    both = [
        left for left in scale.left if left.equals.low is not None and left.equals.high is not None
    ]
    if both:
        held = sum((one.equals.low or 0) <= one.compute <= (one.equals.high or 0) for one in both)
        said += (
            f"; of {len(scale.left)} rungs left out in turn the others give {len(both)} an interval "
            f"with two ends, which holds the rung's own compute in {held}"
        )
    return said + "."


def _placed(scale: Scale) -> str:
    """What was placed on the curve, as sentences after the family's own."""
    said = ""
    for one in scale.explained[:SAID]:
        bits = fmt.written(one.loss)
        place = (
            f"as good as one of this family trained with {fmt.compute(one.equals)} FLOPs"
            if one.equals.value is not None
            else f"not placed: {untold(one.equals)}"
        )
        far = " (extrapolated)" if scale.extrapolated(one) else ""
        said += f" {one.condition}, at {bits} bits per byte, is {place}{far}."
    if more := scale.explained[SAID:]:
        said += f" {len(more)} more are placed below."
    return said


def _answer(found: Sequence[Loss], scale: Scale) -> Answer:
    """Those that are placed, and the ends of the family."""
    placed = {one.condition for one in scale.explained}
    mine = [one for one in found if one.name not in placed]
    some = mine if len(mine) <= MOST else [*mine[: MOST // 2], *mine[-(MOST // 2) :]]
    shown = [*some, *(one for one in found if one.name in placed)][:12]
    return Answer(
        corner="Model",
        columns=(
            Column(key="bits", heading="Bits per byte"),
            Column(key="equals", heading="As good as", note="FLOPs", style="compute"),
        )[: 1 + bool(placed)],
        rows=tuple(
            AnswerRow(
                name=one.name,
                note="" if one.compute is None else f"{fmt.cell(one.compute, 'compute')} FLOPs",
                cells=(f"models/losses/{step(one.name)}/bits",
                       f"compute/conditions/{step(one.name)}/equals" if one.name in placed else None,
                       )[: 1 + bool(placed)],
            )
            for one in shown
        ),
        picture="compute/curve" if scale.rungs else "",
    )  # fmt: skip


def _by_byte(found: Sequence[Loss], scale: Scale) -> Section:
    rungs = {rung.name: f"rung {rung.rung}" for rung in scale.rungs}
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
                    Row(key=one.name, name=one.name, note=rungs.get(one.name, ""), cells=one[1:])
                    for one in found
                ),
            ),
        ),
    )


def _on_the_curve(scale: Scale) -> Section:
    return scales.compute(scale, {}, asked=f"{ASKED} {PLACED}" if scale.explained else ASKED)
