"""`family`: the curve of loss against training compute that a user measures, of any models.

Pythia's suite, a laboratory's own checkpoints, models of several tokenizers: each is measured on
the same characters, in bits per byte, and a law is fitted through those whose training compute is
known. Others can be placed on it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unexplained.curves import FittedCurve, compute_of
from unexplained.curves.points import FEWEST_RUNGS
from unexplained.errors import CurveError, MeasurementError, SubjectError, TextError, require_count
from unexplained.evaluate import evaluate
from unexplained.ladder.catalogue import catalogue
from unexplained.ladder.law import fit_rungs, law_of, left_out
from unexplained.ladder.measured import Measured
from unexplained.progress import Progress
from unexplained.record import Number
from unexplained.record.compute import Explained, RungPoint, Scale
from unexplained.record.family import FamilyModel, FamilyRecord
from unexplained.shares import within
from unexplained.sites import Shape
from unexplained.stats import Settings, mean_per_token, written
from unexplained.study.asked import require_folder
from unexplained.study.provenance import found_again
from unexplained.subject import Subject, load
from unexplained.subject.ambient import neutrally
from unexplained.text import Text
from unexplained.text.alike import Alike, alike, require_documents

BITS = "bits per byte"


@dataclass(frozen=True)
class Member:
    """A model of a family.

    Models are opened one after another, once for their tokenizers and once to be measured, so that
    a whole suite need not fit into memory at once.
    """

    name: str
    open: Callable[[], Subject]
    compute: float | None = None
    """FLOPs of training; None: only to be placed. Members of equal compute are runs of one rung."""


@dataclass(frozen=True)
class _Opened:
    """What is kept of a model while others are open."""

    name: str
    tokenizer: object
    shape: Shape
    fingerprint: str
    parameters: int
    longest: int | None
    """Positions that it has; None where its configuration does not say."""


@dataclass(frozen=True)
class _Run:
    """A member of known compute."""

    name: str
    rung: int
    seed: int
    compute: float


@neutrally
def family(
    members: Sequence[Member],
    source: str,
    *,
    documents: int = 64,
    characters: int = 600,
    extrapolate: bool = False,
    settings: Settings = Settings(),  # noqa: B008  (frozen)
    folder: Path | None = None,
    say: Progress = lambda what, done, total: None,
) -> FamilyRecord:
    """Measure models of any tokenizers on the same characters and fit loss against compute.

    What is scored is −log₂ p of the same characters for every model, each given what comes before
    them in the document, divided by their UTF-8 bytes. Documents are resampled together in all
    models. The curve is through this family on this text: another family's models, trained by
    another recipe on other data, can be placed on it, and then the compute says "as good as a model
    of *this* family trained with".

    It misleads where a model has seen the text; where computes are given by different conventions
    (6·N·D with or without embeddings); and, as every law, beyond its models.

    Args:
        members: At least three computes among them.
        source: A corpus or a path.
        documents: How many documents' beginnings.
        characters: Greatest length of a beginning; of all models' contexts the shortest must hold it.
        extrapolate: Place also what is beyond the family's own losses; it is marked.
        settings: Level, resamples and seed (which also draws the documents).
        folder: Where finished batches are kept and found again.
        say: Told about progress.

    Raises:
        CurveError: There are fewer than three computes, or one is not positive and finite.
        MeasurementError: Two members share a name; a text is longer than a context.
        TextError: A tokenizer does not give the characters back.
    """
    started = time.perf_counter()
    require_members(members)
    require_count("documents", documents, least=1)
    require_count("characters", characters, least=1)
    require_folder(folder)
    require_documents(source, documents, characters)
    opened = []
    for number, member in enumerate(members):
        opened.append(_opened(member))
        say("reading tokenizers", number + 1, len(members))
    cut = alike(source, opened, documents=documents, characters=characters, seed=settings.seed)
    _require_room(opened, cut)
    sums: dict[str, NDArray[np.float64]] = {}
    last: Subject | None = None
    for number, (member, text) in enumerate(zip(members, cut.texts, strict=True)):
        last = None  # one model at a time
        last = member.open()
        sums[member.name] = _nats(last, text, cut.first[number], folder) / math.log(2)
        say("measuring", number + 1, len(members))
    assert last is not None
    measured = Measured.of_sums(sums, cut.bytes, settings)
    losses = {
        name: within(mean_per_token(total, cut.bytes, settings=settings, unit=BITS), least=0)
        for name, total in sums.items()
    }
    scale = _scale(members, opened, measured, losses, settings, extrapolate=extrapolate)
    models = tuple(
        FamilyModel(
            name=one.name, fingerprint=one.fingerprint, compute=member.compute,
            parameters=one.parameters, vocabulary=one.shape.vocabulary,
            tokens=(scored := _scored(text, first)),
            nats_per_token=float(sums[one.name].sum() * math.log(2) / scored),
            bits_per_byte=losses[one.name],
        )
        for one, member, text, first in zip(opened, members, cut.texts, cut.first, strict=True)
    )  # fmt: skip
    known = sorted((m for m in models if m.compute is not None), key=lambda m: m.compute or 0)
    return FamilyRecord(
        title=f"A family of {len(known)} models, in bits per byte of {cut.texts[0].name}",
        verdict=_verdict(known, scale),
        text=cut.texts[0].name,
        text_notes=cut.notes,
        text_fingerprints={
            one.name: text.fingerprint for one, text in zip(opened, cut.texts, strict=True)
        },
        documents=len(cut.bytes),
        bytes=int(cut.bytes.sum()),
        models=(*known, *(m for m in models if m.compute is None)),
        scale=scale,
        **found_again(last, settings, started),
    )


def require_members(members: Sequence[Member]) -> None:
    """Refuse members of too few computes, or of none that is one (CurveError), and names given twice."""
    names = [member.name for member in members]
    for name in names:
        if names.count(name) > 1:
            raise MeasurementError(f"The model '{name}'", "it is given twice", "Give it once.")
    for member in members:
        if member.compute is not None and not 0 < member.compute < math.inf:
            raise CurveError(
                f"The training compute of {member.name}",
                f"{member.compute:g} is not positive and finite",
            )
    different = len({member.compute for member in members if member.compute is not None})
    if different < FEWEST_RUNGS:
        raise CurveError(
            f"A curve through models of {different} training computes",
            f"it takes {FEWEST_RUNGS}",
            "Give more models with what their training took.",
        )


def _opened(member: Member) -> _Opened:
    subject = member.open()
    config = subject.anatomy.model.config
    return _Opened(
        name=member.name,
        tokenizer=subject.tokenizer,
        shape=subject.shape,
        fingerprint=subject.fingerprint,
        parameters=sum(weight.numel() for weight in subject.anatomy.model.parameters()),
        longest=getattr(config, "max_position_embeddings", None),
    )


def _require_room(opened: Sequence[_Opened], cut: Alike) -> None:
    for one, text in zip(opened, cut.texts, strict=True):
        if one.longest is not None and text.block > one.longest:
            raise TextError(
                f"The beginnings of {text.name} under the tokenizer of {one.name}",
                f"the longest has {text.block} tokens and the model {one.longest} positions",
                "Give fewer characters.",
            )


def _nats(
    subject: Subject, text: Text, first: Sequence[int], folder: Path | None
) -> NDArray[np.float64]:
    """Loss of every document's stretch, summed (nats)."""
    ledger = evaluate(subject, text, [], keep_tokens=["intact"], folder=folder)
    rows = ledger.tokens
    losses = dict(zip(rows["document"].to_pylist(), rows["loss"].to_pylist(), strict=True))
    return np.array(
        [sum(losses[block.document][start:]) for block, start in zip(text.eval, first, strict=True)]
    )


def _scored(text: Text, first: Sequence[int]) -> int:
    return sum(len(b.targets) - start for b, start in zip(text.eval, first, strict=True))


def _scale(
    members: Sequence[Member],
    opened: Sequence[_Opened],
    measured: Measured,
    losses: dict[str, Number],
    settings: Settings,
    *,
    extrapolate: bool,
) -> Scale:
    computes = sorted({m.compute for m in members if m.compute is not None})
    seeds: dict[float, int] = {}
    runs = []
    for member in members:
        if member.compute is not None:
            seed = seeds.get(member.compute, 0)
            seeds[member.compute] = seed + 1
            runs.append(_Run(member.name, computes.index(member.compute) + 1, seed, member.compute))
    runs.sort(key=lambda run: (run.rung, run.seed))
    size = {one.name: one.parameters for one in opened}
    points = tuple(
        RungPoint(
            name=run.name, rung=run.rung, seed=run.seed, compute=run.compute,
            parameters=size[run.name], tokens=0, loss=losses[run.name],
        )
        for run in runs
    )  # fmt: skip
    says = "The rungs are the models that were given with their training compute."
    names = {run.name: run.name for run in runs}
    try:
        fitted = fit_rungs(runs, names, measured, settings, name="family", unit=BITS)
    except CurveError as error:
        return Scale(says=says, unit=BITS, rungs=points, law=None, refused=str(error),
                     subject=None, explained=())  # fmt: skip
    law, bend, form = law_of(fitted)
    return Scale(
        says=says,
        unit=BITS,
        rungs=points,
        law=law,
        bend=bend,
        form=form,
        left=left_out(runs, names, measured, settings, unit=BITS),
        subject=None,
        explained=tuple(
            _placed(member.name, fitted, measured, losses, extrapolate) for member in members
            if member.compute is None
        ),
    )  # fmt: skip


def _placed(
    name: str,
    fitted: FittedCurve,
    measured: Measured,
    losses: dict[str, Number],
    extrapolate: bool,
) -> Explained:
    draws = measured.draws[name]
    found = compute_of(fitted, losses[name], draws=draws, extrapolate=extrapolate)
    return Explained(
        condition=name, loss=losses[name], equals=found.compute, shares={}, note=found.note
    )


def _verdict(known: Sequence[FamilyModel], scale: Scale) -> str:
    first, last = known[0], known[-1]
    if first.bits_per_byte.low is None or last.bits_per_byte.low is None:
        return "How many bits per byte these models have is refused: too few documents for an interval."
    said = (
        f"{first.name} has {written(first.bits_per_byte, spec='.3f')} and {last.name} "
        f"{written(last.bits_per_byte, spec='.3f')} bits per byte"
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


def member_of(asked: str | Member, *, curve: bool) -> Member:
    """A member by its name, of the family with its training compute, `MODEL=FLOPS`.

    Args:
        asked: The name, followed by the compute where the ladder does not know it.
        curve: Whether it is of the family, or is placed beside it.

    Raises:
        CurveError: The compute of a member of the family is not given, or is no number.
    """
    if isinstance(asked, Member):
        return asked
    name, compute = _named(asked) if curve else (asked, None)
    return Member(name, lambda: load(name), compute)


def _named(asked: str) -> tuple[str, float]:
    """A model and its training compute: given, 6·N·D, or the ladder's own."""
    name, _, number = asked.rpartition("=")
    if not name or Path(asked).exists():
        try:
            return asked, catalogue().named(asked).compute
        except SubjectError:
            raise CurveError(
                f"The model '{asked}' on a curve",
                "its training compute is not given",
                f"Write {asked}=FLOPS or {asked}=PARAMETERSxTOKENS, or give it with --place.",
            ) from None
    try:
        size, times, tokens = number.partition("x")
        factors = [float(size), float(tokens)] if times else [float(number)]
        if min(factors) <= 0:
            raise ValueError
        return name, 6 * factors[0] * factors[1] if times else factors[0]
    except ValueError:
        raise CurveError(
            f"The training compute of {name}",
            f"'{number}' is neither a number above 0 nor two joined by x",
            f"Write {name}=1e20, or {name}=70e6x300e9 for parameters and tokens.",
        ) from None
