"""`family`: loss by byte against training compute, for models of any tokenizers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from unexplained.bars import scales
from unexplained.record.blocks import Block, Column, Prose, Row, Section, Table, facts
from unexplained.study import Headline, Option, instrument
from unexplained.study.given import Members
from unexplained.study.instrument import told

if TYPE_CHECKING:
    from unexplained.assays.family import Member
    from unexplained.record import FamilyRecord
    from unexplained.study import Run


ASKED = (
    "The losses are divided by the bytes of the same characters, so that models of different "
    "tokenizers have a place on one axis."
)
PLACED = (
    "Models whose compute was not given are as good as a model of this family trained with so many "
    "FLOPs. A model of another recipe, on other data, may have had more or less."
)


def _members(given: Mapping[str, Any]) -> None:
    """Refuse models of which the compute is not given, and names of none."""
    from unexplained.assays.family import member_of, require_members

    require_members(
        [
            *(member_of(one, curve=True) for one in given["members"]),
            *(member_of(one, curve=False) for one in given["place"] or ()),
        ]
    )


@instrument("family", before=_members, texts=None, models="members")
def family(
    run: Run,
    members: Annotated[
        Sequence[Member | str],
        Members(
            "MODEL=FLOPS or MODEL=PARAMETERSxTOKENS, such as pythia-70m=70e6x300e9 (then C = 6·N·D); "
            "a rung of the ladder needs no number."
        ),
    ],
    *,
    place: Annotated[
        Sequence[Member | str],
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
        run: How it is run.
        members: Models with their training compute, at least three computes among them.
        place: Models without one, to be placed on the curve.
        source: A corpus or a path.
        documents: How many documents' beginnings.
        characters: Greatest length of a beginning; of all models' contexts the shortest must hold it.
        extrapolate: Place also what is beyond the family's own losses; it is marked.

    Raises:
        UnexplainedError: As `assays.family`, all that can be told before anything is run.
    """
    from unexplained.assays.family import family as measured
    from unexplained.assays.family import member_of

    every = [member_of(one, curve=True) for one in members]
    every += [member_of(one, curve=False) for one in place or ()]
    found = measured(every, source, documents=documents, characters=characters,
                     extrapolate=extrapolate, settings=run.settings, folder=run.folder,
                     say=run.say)  # fmt: skip
    yield from told(run, found, blocks(found), sheet(found))


def blocks(record: FamilyRecord) -> Iterator[Block]:
    """What was found, as blocks."""
    yield _facts(record)
    yield _models(record)
    asked = f"{ASKED} {PLACED}" if record.scale.explained else ASKED
    yield scales.compute(record.scale, {}, asked=asked)
    yield from (Prose(words=note, manner="aside") for note in record.text_notes)


def sheet(record: FamilyRecord) -> dict[str, str]:
    """What was measured on."""
    found = {model.name: model.fingerprint for model in record.models}
    return found | {f"Text of {name}": mark for name, mark in record.text_fingerprints.items()}


def _facts(record: FamilyRecord) -> Table:
    return facts(
        "facts",
        Row(
            key="models",
            name="Models",
            cells=(f"{len(record.models):,}, the last {record.subject}",),
        ),
        Row(key="text", name="Text", cells=(record.text,)),
        Row(key="bytes", name="Bytes scored", cells=(record.bytes,)),
        Row(key="documents", name="Documents", cells=(record.documents,)),
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
