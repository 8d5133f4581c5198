"""One column of a ledger for several conditions, the same documents and tokens in each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unexplained.errors import MeasurementError, near_matches
from unexplained.ledger import NATS, Ledger


@dataclass(frozen=True)
class Paired:
    """Entries per document, documents sorted by hash, so that the order of parts is nothing."""

    tokens: np.ndarray
    columns: tuple[np.ndarray, ...]
    """One per condition, in the order in which they were asked for."""
    unit: str = NATS
    """Of losses, per token."""


def paired(
    ledger: Ledger, column: str, conditions: tuple[str, ...], stratum: tuple[str, str]
) -> Paired:
    """Read a column of several conditions on one stratum.

    Raises:
        MeasurementError: A condition, the stratum or the column was not measured, or two
            conditions were measured on different tokens.
    """
    sums = {condition: ledger.sums(condition, stratum) for condition in conditions}
    first, asked = sums[conditions[0]], f"The column '{column}' on {stratum[0]} = {stratum[1]}"
    if not first.tokens.any() and stratum not in ledger.strata:
        known = [" = ".join(pair) for pair in ledger.strata]
        found = "this ledger does not have that stratum"
        raise MeasurementError(asked, found, near_matches(" = ".join(stratum), known))
    for other in sums.values():
        differ = np.flatnonzero(other.tokens != first.tokens)
        if differ.size:
            at = differ[0]
            raise MeasurementError(
                f"'{first.condition}' and '{other.condition}' compared by document",
                f"document {first.documents[at]} has {first.tokens[at]} tokens in the one and "
                f"{other.tokens[at]} in the other, and {differ.size} documents differ",
                "Measure both on the same text, to the end.",
            )
        if not np.isfinite(getattr(other, column)).all():
            raise MeasurementError(
                f"{asked} for '{other.condition}'",
                "it is null, NaN or infinite in some document",
                "Ask for it when evaluating; `error` is null unless it was asked for.",
            )
    order = np.argsort(np.array(first.documents))
    return Paired(
        first.tokens[order],
        tuple(getattr(sums[one], column)[order] for one in conditions),
        ledger.unit,
    )
