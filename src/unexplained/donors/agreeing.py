"""A document that agrees on given variables: what is put there differs in everything else alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unexplained.donors import DONORS
from unexplained.donors.another import drawn
from unexplained.errors import TextError, near_matches
from unexplained.hashing import digest
from unexplained.text import Text


@dataclass(frozen=True)
class Agreeing:
    """Another document at least as long in which some variables have the same values.

    What the component keeps under these donors it may have by those variables alone: they are the
    hypothesis, as in causal scrubbing. Misleads where few documents agree: they are then much alike
    in other things too.
    """

    variables: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    """Of every document, the values of those variables."""

    @classmethod
    def on(cls, text: Text, *variables: str) -> Agreeing:
        """Donors for a text whose documents have these variables.

        Raises:
            TextError: A document lacks one, or none was named.
        """
        if not variables:
            raise TextError(
                "Donors that agree", "no variable was named", "Name one: agreeing:template."
            )
        known = {block.document: block.variables for block in (*text.fit, *text.eval)}
        for name in variables:
            lacking = [document for document, own in known.items() if name not in own]
            if lacking:
                there = list(dict.fromkeys(one for own in known.values() for one in own))
                raise TextError(
                    f"Donors of {text.name} that agree on '{name}'",
                    f"{len(lacking)} of {len(known)} documents do not have it",
                    near_matches(name, there) if there else "No document has any variable.",
                )
        return cls(
            tuple(variables), {d: tuple(own[n] for n in variables) for d, own in known.items()}
        )

    @property
    def says(self) -> str:
        """On what it agrees."""
        return f"another document with the same {' and '.join(self.variables)}"

    @property
    def fingerprint(self) -> str:
        """Of the variables and of every document's values."""
        told = [part for d in sorted(self.values) for part in (d, *self.values[d])]
        return digest("agreeing", *self.variables, *told)

    def of(self, document: str, length: int, there: Mapping[str, int], seed: int) -> str:
        """One of those that agree and are long enough."""
        own = self.values.get(document)
        others = [
            d for d, size in there.items()
            if size >= length and d != document and own is not None and self.values.get(d) == own
        ]  # fmt: skip
        if not others:
            named = ", ".join(f"{n} {v}" for n, v in zip(self.variables, own or (), strict=False))
            count = Counter(self.values.get(d) for d in there)[own] if own is not None else 0
            raise TextError(
                f"A donor for document {document} ({named or 'of which nothing is known'})",
                f"of {len(there)} documents {count} agree, and no other one of them has its "
                f"{length} tokens",
                "Use more fit documents or shorter blocks, or let them agree on less.",
            )
        return drawn(document, others, seed)


def _agreeing(text: Text, about: Sequence[str]) -> Agreeing:
    return Agreeing.on(text, *about)


DONORS.add("agreeing", _agreeing)
