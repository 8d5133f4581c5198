"""Losses per token of several conditions, the same documents and tokens in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unexplained.errors import MeasurementError, near_matches
from unexplained.ledger import Ledger

ON_DEMAND = "Name it in `keep_tokens` when evaluating."


@dataclass(frozen=True, eq=False)
class TokenLosses:
    """Every kept token, document after document, documents sorted by hash.

    >>> read = TokenLosses(("a", "b"), np.array([0, 0, 1]), {"intact": np.array([1.0, 2.0, 4.0])})
    >>> read.tokens, read.summed(read.losses["intact"])
    (array([2, 1]), array([3., 4.]))
    """

    documents: tuple[str, ...]
    at: np.ndarray
    """Of every token, the place of its document; never falls."""
    losses: Mapping[str, np.ndarray]
    """Of every condition, each token's loss (nats)."""

    @property
    def tokens(self) -> np.ndarray:
        """Tokens per document."""
        return np.bincount(self.at, minlength=len(self.documents))

    def summed(self, values: np.ndarray) -> np.ndarray:
        """Sum per document of `values`, one per token."""
        return np.bincount(self.at, weights=values, minlength=len(self.documents))

    def split(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """The `values`, one per token, by document."""
        ends = np.cumsum(self.tokens)[:-1]
        return dict(zip(self.documents, np.split(values, ends), strict=True))

    def joined(self, masks: Mapping[str, np.ndarray]) -> np.ndarray:
        """The `masks` of tokens by document, as one mask over all tokens.

        Raises:
            MeasurementError: A document has no mask, or one of another length.
        """
        for document, count in zip(self.documents, self.tokens, strict=True):
            found = masks.get(document)
            if found is None or np.shape(found) != (count,):
                has = "no mask" if found is None else f"a mask of shape {np.shape(found)}"
                raise MeasurementError(
                    f"A choice among the {count} tokens of document {document}",
                    f"it has {has}",
                    "Choose tokens on the text that is scored.",
                )
        return np.concatenate([np.asarray(masks[one], dtype=bool) for one in self.documents])


def token_losses(ledger: Ledger, conditions: Sequence[str]) -> TokenLosses:
    """Read the kept losses of some conditions, in float64 from the ledger's float32.

    Args:
        ledger: The losses, by condition, document and stratum, as `evaluate` gives them.
        conditions: Those whose tokens were kept (`keep_tokens` of `evaluate`).

    Raises:
        MeasurementError: The tokens of a condition were not kept, two conditions were measured on
            different tokens, or a loss is NaN or infinite.
    """
    read = {name: _read(ledger, name) for name in dict.fromkeys(conditions)}
    first_name, (documents, first, _) = next(iter(read.items()))
    for name, (others, counts, losses) in read.items():
        if others != documents or not np.array_equal(counts, first):
            raise MeasurementError(
                f"'{first_name}' and '{name}' compared by token",
                _difference(dict(zip(documents, first, strict=True)), others, counts),
                "Measure both on the same text, to the end, with the same tokenizer.",
            )
        if not np.isfinite(losses).all():
            raise MeasurementError(
                f"The losses per token of '{name}'",
                f"{np.count_nonzero(~np.isfinite(losses))} of them are NaN or infinite",
                "Measure it again.",
            )
    at = np.repeat(np.arange(len(documents)), first)
    return TokenLosses(documents, at, {name: losses for name, (_, _, losses) in read.items()})


def _read(ledger: Ledger, name: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Documents in order, tokens of each, and all losses.

    A document in several rows is joined, and one without tokens left out.
    """
    wanted = pc.equal(ledger.tokens["condition"], name)
    rows = ledger.tokens.filter(
        pc.and_(wanted, pc.greater(pc.list_value_length(ledger.tokens["loss"]), 0))
    )
    if rows.num_rows == 0:
        known = pc.unique(ledger.tokens["condition"]).to_pylist()
        nearest = "" if name in ledger.conditions or not known else near_matches(name, known)
        raise MeasurementError(
            f"The losses per token of '{name}'", "they were not kept", nearest or ON_DEMAND
        )
    lists = rows["loss"].combine_chunks()
    if isinstance(lists, pa.ChunkedArray):  # older pyarrow: nothing to combine
        lists = pa.concat_arrays(lists.chunks)
    names = np.array(rows["document"].to_pylist())
    counts = lists.value_lengths().to_numpy()
    pieces = np.split(lists.flatten().to_numpy().astype(np.float64), np.cumsum(counts)[:-1])
    order = np.argsort(names, kind="stable")
    documents, place = np.unique(names, return_inverse=True)
    totals = np.bincount(place, weights=counts).astype(np.int64)
    losses = np.concatenate([pieces[i] for i in order])
    return tuple(str(one) for one in documents), totals, losses


def _difference(known: dict[str, int], documents: Sequence[str], counts: np.ndarray) -> str:
    there = dict(zip(documents, counts, strict=True))
    every = sorted({*known, *there})
    differ = [one for one in every if known.get(one, 0) != there.get(one, 0)]
    at = differ[0]
    return (
        f"document {at} has {known.get(at, 0)} tokens in the one and {there.get(at, 0)} in the "
        f"other, and {len(differ)} documents differ"
    )
