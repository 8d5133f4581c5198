"""A label: a claim of when a neuron or a direction is active, as code that reads tokens alone.

It is an explanation that gives a neuron's `value`: a number at every token, or yes and no. A number says
yes where it is above 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unexplained.errors import ExplanationError, SiteError
from unexplained.evaluate.batches import plan
from unexplained.evaluate.evaluate import BATCH_TOKENS
from unexplained.explanations.protocol import Explanation
from unexplained.hashing import digest
from unexplained.sites import Shape, Site
from unexplained.subject import Batch, Local, Subject
from unexplained.text import Block, Text
from unexplained.text.document import Part

READS = ("tokens",)
PARTITION = "label"
"""The stratum of tokens by what a label says of them."""
ANY = Site(0, "N", 0)
"""A neuron where it is not yet known which: a label says the same of each."""
YES, NO = "yes", "no"


def require_label(label: Explanation) -> None:
    """Refuse explanations that are no label.

    Raises:
        ExplanationError: It gives another value, or reads more than tokens.
    """
    if label.gives != "value" or tuple(label.reads) != READS:
        raise ExplanationError(
            f"{label.called} as a label",
            f"it gives '{label.gives}' and reads {', '.join(label.reads) or 'nothing'}",
            'A label is @explanation(gives="value", reads=["tokens"]): a number at every token, or yes and no.',
        )


def require_neurons(sites: tuple[Site, ...]) -> None:
    """Refuse components that are no neurons.

    Raises:
        SiteError: One is none.
    """
    for site in sites:
        if site.part != "N":
            raise SiteError(
                f"The site {site} under a label", "it is no neuron, and a label gives one number a token",
                "Give neurons, such as L0.N5, or name a direction of it as well (direction=…; --direction); heads and "
                "MLPs as a whole: unexplained assay.",
            )  # fmt: skip


def says_yes(label: Explanation, local: Local, shape: Shape) -> Tensor:
    """Where it says yes, (batch, position)."""
    return label(local, shape) > 0


@dataclass(frozen=True)
class Said:
    """What a label says of a part of a text."""

    number: dict[str, NDArray[np.float64]]
    """Document → at every token; of yes and no 1 and 0."""

    @cached_property
    def yes(self) -> dict[str, NDArray[np.bool_]]:
        """Document → at every token, whether it says yes."""
        return {name: number > 0 for name, number in self.number.items()}

    @property
    def mark(self) -> str:
        """A digest of all of it."""
        return digest(*(f"{name} {one.tobytes().hex()}" for name, one in self.number.items()))

    def stratum(self, block: Block) -> list[str]:
        """A label of each prediction: what it says of the token that is predicted from."""
        return [YES if yes else NO for yes in self.yes[block.document][:-1]]

    def of(self, batch: Batch) -> Tensor:
        """(batch, position), no at padding."""
        found = torch.zeros(batch.tokens.shape, dtype=torch.bool)
        for row, name in enumerate(batch.documents):
            found[row, : len(self.yes[name])] = torch.from_numpy(self.yes[name])
        return found.to(batch.tokens.device)


def said_of(label: Explanation, subject: Subject, text: Text, part: Part, at: Site = ANY) -> Said:
    """What a label says of every token of a part of a text.

    Args:
        label: Its function is given tokens alone.
        subject: The model whose tokens they are.
        text: Where it is asked.
        part: Of which documents.
        at: The neuron that errors name.

    Raises:
        ExplanationError: It raised, gave another shape, NaN or infinity, or looked ahead.
    """
    found: dict[str, NDArray[np.float64]] = {}
    for some in plan(text.blocks(part, "A label"), BATCH_TOKENS):
        batch = some.batch(subject.device)
        blank = torch.zeros(batch.tokens.shape, device=subject.device)
        said = label(_local(at, batch, blank), subject.shape).double().cpu().numpy()
        for row, block in enumerate(some.blocks):
            found[block.document] = said[row, : len(block.tokens)]
    return Said(found)


def _local(site: Site, batch: Batch, blank: Tensor) -> Local:
    """A neuron's place of which nothing is read but the tokens."""
    return Local(site, batch, lambda name: blank, {})


def with_label(text: Text, measured: Said, fitted: Said) -> Text:
    """The text, its losses broken down by what a label says."""
    both = Said({**fitted.number, **measured.number})
    return text.with_strata({PARTITION: both.stratum})
