"""What counting alone gives: n-gram tables of webmix by tokens counted and smoothing, beside the ladder.

    python benchmarks/ngrams.py [--documents 96]

Writes `results/ngrams.json`: losses on the eval part, and how much of the lead of a stronger model over
a weaker rung a table would keep if it were offered as an explanation (the gap score).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import unexplained as ux
from unexplained.bars import gap_score, loss
from unexplained.evaluate import AnotherModel, Other
from unexplained.fetch import cache_folder
from unexplained.record import Number
from unexplained.text.counted import counts_of
from unexplained.text.counts import LIMIT
from unexplained.text.ngrams import NAMES, ngram
from unexplained.text.smoothing import SMOOTHINGS

RESULTS = Path(__file__).parent / "results" / "ngrams.json"
LIMITS = (2_000_000, 8_000_000, LIMIT)
PAIRS = (("attention-2", "rung-3"), ("rung-6", "rung-5"))
"""A model, and the strongest rung that is weaker than it on this text."""


def shown(number: Number) -> dict[str, float | str | None]:
    """A number as it is kept."""
    return number.model_dump(include={"value", "low", "high", "refused"})


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=96)
    asked = parser.parse_args()
    subject = ux.load("rung-6")
    text = ux.text("webmix", subject, documents=asked.documents, fit_documents=64)
    settings = ux.Settings()
    tables = {}
    for limit in LIMITS:
        counts = counts_of(text, limit)
        for order in (1, 2, 3):
            for way in SMOOTHINGS:
                tables[f"{NAMES[order]}, {way}, {counts.tokens:,} tokens"] = ngram(
                    counts, order, way
                )
    others = ["attention-2", *(f"rung-{number}" for number in range(1, 6))]
    ledger = ux.evaluate(
        subject,
        text,
        [
            *(Other(name, table) for name, table in tables.items()),
            *(Other(name, AnotherModel(ux.load(name))) for name in others),
        ],
        folder=cache_folder() / "ledgers",
    )
    found: dict[str, object] = {"documents": len(text.eval), "tokens": text.predicted}
    found["models"] = {
        name: shown(loss(ledger, name, settings=settings)) for name in ("intact", *others)
    }
    rows = []
    for name, table in tables.items():
        assert table.counted is not None
        row: dict[str, object] = {
            "table": table.name,
            "smoothing": table.counted.smoothing,
            "counted": table.tokens,
            "complete": table.counted.complete,
            "held_out": table.counted.held_out[table.counted.smoothing],
            "loss": shown(loss(ledger, name, settings=settings)),
        }
        for strong, weak in PAIRS:
            intact = "intact" if strong == subject.name else strong
            row[f"gap of {strong} to {weak}"] = shown(
                gap_score(ledger, name, weak, intact=intact, settings=settings)
            )
        rows.append(row)
        print(name, *(f"{k}: {v}" for k, v in row.items() if isinstance(v, dict)), sep="\n  ")
    found["tables"] = rows
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(found["models"])


if __name__ == "__main__":
    main()
