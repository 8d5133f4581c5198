"""Which models may stand beside which: those of one tokenizer, on texts that they have not seen."""

from __future__ import annotations

from unexplained.errors import MeasurementError
from unexplained.ladder.catalogue import Trained, catalogue
from unexplained.subject import Subject
from unexplained.subject.shipped import NOTE
from unexplained.text import Pair, Text
from unexplained.text.document import part
from unexplained.text.tokens import Encoder


def on_ladder(subject: Subject) -> bool:
    """Whether losses of this model and of the ladder's are of the same tokens."""
    return Encoder(subject).fingerprint == catalogue().tokenizer


def trained_as(subject: Subject) -> Trained | None:
    """What is known of a model that is itself of the ladder; None of any other."""
    known = {one.name: one for one in catalogue().models}
    # By where it came from, not by its name: another model can be in a folder called rung-6.
    return known.get(subject.name) if NOTE in subject.notes else None


def require_same_tokens(subject: Subject, other: Subject) -> None:
    """Refuse two models whose tokens differ.

    Raises:
        MeasurementError: Their tokenizers are not the same.
    """
    if Encoder(subject).fingerprint != Encoder(other).fingerprint:
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
    seen = [block.document for block in running if part(block.unit) == "fit"]
    if seen:
        raise MeasurementError(
            f"The ladder on {text.name}",
            f"{len(seen)} of its {len(text.eval)} documents are of the fit part, which the ladder "
            f"was trained on (the first is {seen[0]})",
            "Measure on the eval part.",
        )
