"""Where foreign values come from: the document whose values are put in the place of another's.

Resampling, patching and the control on another document differ in what they do with a donor, not in
how one is found: each asks a `Donors`. One file each; a new file here is found by itself and comes
under the law tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from unexplained.errors import TextError
from unexplained.evaluate import Activations
from unexplained.registry import Registry
from unexplained.subject import Batch
from unexplained.text import Text


class Donors(Protocol):
    """Chooses, for every document, the one that gives."""

    @property
    def says(self) -> str:
        """Which document that is, in words: `another document`."""

    @property
    def fingerprint(self) -> str:
        """Hash of what the choice depends on besides the documents that were run and the seed."""

    def of(self, document: str, length: int, there: Mapping[str, int], seed: int) -> str:
        """The document that gives.

        The choice depends on names alone, so it is the same for every site and batch.

        Args:
            document: Who is given.
            length: How many tokens that has: a donor has as many or more.
            there: Every document that was run, and its length.
            seed: Of the draw, where there is one.

        Raises:
            TextError: There is none.
        """


DonorsMaker = Callable[[Text, Sequence[str]], Donors]
"""Makes donors for a text, from what was written behind their name."""

DONORS: Registry[DonorsMaker] = Registry("donors", __name__, TextError)


def donors_for(text: Text, name: str) -> Donors:
    """Donors by name, for example `another` or `agreeing:template,order`.

    Raises:
        TextError: There are none of that name, or what is written behind it does not suit the text.
    """
    name, _, about = name.partition(":")
    return DONORS.get(name)(text, [one.strip() for one in about.split(",") if one.strip()])


def require_nothing(name: str, about: Sequence[str]) -> None:
    """Refuse words behind the name of donors that take none.

    Raises:
        TextError: There are some.
    """
    if about:
        raise TextError(
            f"The donors '{name}:{','.join(about)}'", "they take nothing", f"Write '{name}'."
        )


def place_of(
    donors: Donors, activations: Activations, document: str, length: int, seed: int
) -> tuple[int, int]:
    """Batch number and row of the document that gives.

    Raises:
        TextError: None does, or it is not among those that were run, or is too short.
    """
    chosen = donors.of(document, length, activations.lengths, seed)
    size = activations.lengths.get(chosen, -1)
    if size < length:
        raise TextError(
            f"The donor {chosen} for document {document}",
            "it was not run" if size < 0 else f"it has {size} tokens of {length}",
            "Choose among the documents that were run, of those as long.",
        )
    return activations.places[chosen][:2]


def places_of(
    donors: Donors, activations: Activations, batch: Batch, seed: int
) -> Iterator[tuple[int, int, int]]:
    """Batch number and row of the donor of every document of a batch, and the document's length."""
    lengths = batch.valid.sum(-1).tolist()
    for document, length in zip(batch.documents, lengths, strict=True):
        number, row = place_of(donors, activations, document, batch.start + length, seed)
        yield number, row, length
