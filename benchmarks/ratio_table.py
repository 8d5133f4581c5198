"""The tables of `docs/statistics.md` on ratios, from `results/ratio_coverage.json`.

python benchmarks/ratio_table.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "statistics.md"
START, END = "<!-- ratio-coverage -->", "<!-- /ratio-coverage -->"
SIZES = (8, 16, 48, 135)
SELDOM = 0.05
"""Cells that print fewer texts than this say little of coverage."""


def filled(text: str) -> str:
    """The page with its tables written anew."""
    record = json.loads((HERE / "results" / "ratio_coverage.json").read_text(encoding="utf-8"))
    before, rest = text.split(START)
    _, after = rest.split(END)
    tables = "\n\n".join((coverage(record), accepted(record), real(record)))
    return f"{before}{START}\n{tables}\n{END}{after}"


def coverage(record: dict[str, Any]) -> str:
    """Least coverage over the designs of every kind of damage, before / now."""
    lines = [
        "Least coverage among the ratios printed, percent, before / now, over the designs of a kind "
        "(in brackets how many):",
        "",
        _row("damage per document", *(f"n = {n}" for n in SIZES)),
        _row(*["---"] * 5),
    ]
    for kind in _kinds(record):
        cells = []
        for n in SIZES:
            seen = [c for c in _cells(record, kind, n) if "printed" in c]
            rows = [c for c in seen if c["printed"] >= SELDOM]
            if not rows:
                cells.append("seldom printed" if seen else "rare ones unseen")
                continue
            was, now = (min(c[k] for c in rows) for k in ("coverage before", "coverage"))
            cells.append(f"{100 * was:.0f} / {100 * now:.0f} ({len(rows)})")
        lines.append(_row(kind, *cells))
    return "\n".join(lines)


def accepted(record: dict[str, Any]) -> str:
    """How often nothing is taken for a denominator, before / now."""
    lines = [
        "How often a denominator whose true size is 0 is accepted, percent, before / now, the worse of "
        "equal and of unequal document lengths; in brackets the chance that a text has none of the rare "
        "documents, where that is above 5%:",
        "",
        _row("damage per document, mean removed", *(f"n = {n}" for n in SIZES)),
        _row(*["---"] * 5),
    ]
    for kind in _kinds(record):
        cells = []
        for n in SIZES:
            rows = [c for c in _cells(record, kind, n, unseen=True) if "accepted" in c]
            if not rows:
                break
            was, now = (max(c[k] for c in rows) for k in ("accepted before", "accepted"))
            unseen = f" ({100 * rows[0]['unseen']:.0f})" if "unseen" in rows[0] else ""
            cells.append(f"{100 * was:.1f} / {100 * now:.1f}{unseen}")
        if cells:
            lines.append(_row(kind, *cells))
    return "\n".join(lines)


def real(record: dict[str, Any]) -> str:
    """Real documents."""
    lines = [
        "Fractions of `webmix`, blocks of 128 tokens: of 768 documents under `rung-4`, drawn again (the "
        "truth is all of them), and of some of 135 documents under SmolLM2-135M:",
        "",
        _row("model", "n", "printed before / now, of", "coverage before / now", "times as wide: half, 90%, 95% are at most",
             "at most 1.25 times as wide"),
        _row(*["---"] * 6),
    ]  # fmt: skip
    for row in record["real"]:
        held = "–"
        if "coverage" in row:
            held = f"{100 * row['coverage before']:.1f} / {100 * row['coverage']:.1f}"
        wide = ", ".join(f"{row['times as wide'][q]:.2f}" for q in ("50%", "90%", "95%"))
        printed = f"{row['printed before']:,} / {row['printed']:,}, {row['texts']:,}"
        lines.append(
            _row(row["model"], str(row["documents"]), printed, held, wide,
                 f"{100 * row['at most 1.25 times as wide']:.0f}%")
        )  # fmt: skip
    return "\n".join(lines)


def _kinds(record: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(row["kind"] for row in record["planted"]))


def _cells(
    record: dict[str, Any], kind: str, documents: int, *, unseen: bool = False
) -> list[dict[str, Any]]:
    return [
        cell
        for row in record["planted"] if row["kind"] == kind
        for cell in row["cells"]
        if cell["documents"] == documents and (unseen or "unseen" not in cell)
    ]  # fmt: skip


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
