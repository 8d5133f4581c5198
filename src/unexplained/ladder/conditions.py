"""The ladder's models as conditions: which of them stand beside a model, and on which texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from unexplained.errors import MeasurementError
from unexplained.evaluate import AnotherModel, Other
from unexplained.ladder.catalogue import Trained, catalogue
from unexplained.subject import Subject, load
from unexplained.subject.shipped import NOTE
from unexplained.text import Pair, Text
from unexplained.text.document import part
from unexplained.text.tokens import Tokens


def on_ladder(subject: Subject) -> bool:
    """Whether losses of this model and of the ladder's are of the same tokens."""
    return Tokens(subject).fingerprint == catalogue().tokenizer


def is_rung(name: str) -> bool:
    """Whether a condition of that name is a rung, with its first seed."""
    return any(one.name == name and not one.seed for one in catalogue().rungs())


def to_compare(models: Sequence[Other]) -> list[str]:
    """Names of weaker models to set bars with: not seeds, checkpoints and shorter runs of rungs."""
    known = {one.name for one in catalogue().models}
    return [one.name for one in models if one.name not in known or is_rung(one.name)]


def runs_of(name: str, models: Sequence[Other]) -> list[str]:
    """Of some models the one of that name and, of a rung, its other runs."""
    known = {one.name for one in catalogue().models}
    mine = catalogue().with_seeds([name]) if name in known else [name]
    there = {one.name for one in models}
    return [one for one in mine if one in there]


def trained_as(subject: Subject) -> Trained | None:
    """What is known of a model that is itself of the ladder; None of any other."""
    known = {one.name: one for one in catalogue().models}
    # By where it came from, not by its name: another model can be in a folder called rung-6.
    return known.get(subject.name) if NOTE in subject.notes else None


def weaker_models(subject: Subject, text: Text) -> tuple[Other, ...]:
    """The ladder's models as conditions on a text of this model, the model itself left out.

    Every rung with every seed; of a rung whose run was kept also its shorter annealed runs and its
    checkpoints. None where the model is not `on_ladder`.

    Raises:
        MeasurementError: What is to be measured is of the part that the ladder was trained on.
    """
    if not on_ladder(subject):
        return ()
    require_unseen_by(subject, text)
    mine = trained_as(subject)
    known = catalogue()
    wanted = [*known.rungs()]
    if mine is not None and mine.role in ("rung", "annealed"):
        wanted += known.run_of(mine.rung, "annealed")
    if mine is not None and mine.role == "rung" and mine.seed == 0:
        wanted += known.run_of(mine.rung, "checkpoint")
    device = str(subject.device)
    return tuple(
        Other(one.name, AnotherModel(_loaded(one.name, device)))
        for one in wanted
        if mine is None or one.name != mine.name
    )


@lru_cache(maxsize=64)
def _loaded(name: str, device: str) -> Subject:
    """A model that ships, loaded once: an assay asks for the same ones on every text."""
    return load(name, device=device)


def require_same_tokens(subject: Subject, other: Subject) -> None:
    """Refuse two models whose tokens differ.

    Raises:
        MeasurementError: Their tokenizers are not the same.
    """
    if Tokens(subject).fingerprint != Tokens(other).fingerprint:
        raise MeasurementError(
            f"{other.name} beside {subject.name}",
            "their tokenizers differ, so losses per token are of different tokens",
            "Give a model with the same tokenizer; rungs of the ladder share one.",
        )


def require_unseen_by(subject: Subject, text: Text) -> None:
    """`require_unseen` where the model shares the ladder's tokenizer: the ladder may be beside it.

    Raises:
        MeasurementError: The text has documents that the ladder was trained on.
    """
    if on_ladder(subject):
        require_unseen(text)


def require_unseen(text: Text) -> None:
    """Refuse a text with documents of the fit part: the ladder was trained on `webmix`'s.

    Which part a document is in follows from its hash, in every corpus and file alike, so a document
    of the training set is found again wherever it comes from, as long as it is the whole document.

    Raises:
        MeasurementError: There are some.
    """
    running = [b for b in text.eval if not isinstance(b, Pair) and not b.second_copy]
    seen = [block.document for block in running if part(block.document) == "fit"]
    if seen:
        raise MeasurementError(
            f"The ladder on {text.name}",
            f"{len(seen)} of its {len(text.eval)} documents are of the fit part, which the ladder "
            f"was trained on (the first is {seen[0]})",
            "Measure on the eval part.",
        )
