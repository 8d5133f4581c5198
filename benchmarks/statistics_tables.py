"""The tables of `docs/statistics.md`, from the results of the coverage benchmarks (`readme.py` writes them)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SIZES = (8, 16, 48, 135)
SELDOM = 0.05
"""Cells that print fewer texts than this say little of coverage."""


def read(name: str) -> dict[str, Any]:
    """What a benchmark wrote."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def ratios() -> str:
    """Coverage, empty denominators and real documents."""
    record = read("ratio_coverage")
    return "\n\n".join((coverage(record), accepted(record), real(record)))


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


def grid(
    cells: list[dict[str, Any]],
    corner: str,
    key: Callable[[dict[str, Any]], str],
    wrote: Callable[..., str],
) -> str:
    """A row for every kind of documents, a column for every number of them.

    Args:
        cells: Of a benchmark, all with `n`.
        corner: The heading of the first column.
        key: What a cell's row is called.
        wrote: What stands in the table, of all cells of one place.
    """
    sizes = sorted({cell["n"] for cell in cells})
    lines = [_row(corner, *(f"n = {n}" for n in sizes)), _row(*["---"] * (len(sizes) + 1))]
    for kind in dict.fromkeys(map(key, cells)):
        places = [[c for c in cells if key(c) == kind and c["n"] == n] for n in sizes]
        lines.append(_row(kind, *(wrote(*place) for place in places)))
    return "\n".join(lines)


def _percent(*shares: float, decimals: int = 0) -> str:
    return " / ".join(f"{100 * share:.{decimals}f}" for share in shares)


def of_zero() -> str:
    """Tests of nothing."""
    return grid(
        read("tails_coverage")["told from zero"], "effect per document", lambda c: str(c["kind"]),
        lambda c: _percent(c["before"], c["now"], decimals=1),
    )  # fmt: skip


def sweeps() -> str:
    """False discoveries and what is found."""

    def wrote(cell: dict[str, Any]) -> str:
        rate, found = (_percent(cell[k]["before"], cell[k]["now"]) for k in ("rate", "found"))
        return f"{rate} ({found})"

    cells = read("tails_coverage")["sweeps"]
    return grid(cells, "effect per document", lambda c: str(c["kind"]), wrote)


def control() -> str:
    """Intervals with a control variate, without and with correlation."""

    def wrote(*cells: dict[str, Any]) -> str:
        return ", ".join(_percent(c["held"]["before"], c["held"]["now"]) for c in cells)

    cells = read("tails_coverage")["control"]
    return grid(cells, "effect per document", lambda c: str(c["kind"]), wrote)


def gains() -> str:
    """Variance with a control variate over that of the exact part, by how slopes are fitted."""

    def wrote(*cells: dict[str, Any]) -> str:
        return ", ".join(
            " / ".join(f"{c[name]:.2f}" for c in cells)
            for name in ("slopes of the others", "as used")
        )

    cells = read("tails_coverage")["gain"]
    return grid(cells, "correlation", lambda c: f"{c['correlation']:g}".replace("-", "−"), wrote)


def factors() -> str:
    """How concentrated a gap is: of planted documents the least of three kinds of tokens; of `webmix`."""

    def wrote(*cells: dict[str, Any]) -> str:
        return _percent(*(min(c[name] for c in cells) for name in ("before", "now")))

    record = read("tails_coverage")
    planted = grid(record["factor"], "gap per document", lambda c: str(c["documents"]), wrote)
    webmix = record["factor on webmix"]
    real = [_percent(c["before"], c["now"]) + f", {c['times as wide']:.2f} times" for c in webmix]
    return f"{planted}\n{_row('`webmix`, and how much wider (median)', *real)}"


def rises() -> str:
    """The largest of several rises."""
    cells = read("tails_coverage")["largest rise"]
    return grid(
        cells, "rises in points", lambda c: ", ".join(f"{100 * rise:.0f}" for rise in c["rises"]),
        lambda c: _percent(c["before"], c["now"]),
    )  # fmt: skip


def seeds() -> str:
    """Slopes over sizes where training runs scatter."""
    grows = {
        1.0: "",
        3.0: ", three times that at the largest",
        1 / 3: ", a third of that at the largest",
    }
    lines = [_row("runs of each size", "scatter of runs", "held, 95% asked"), _row(*["---"] * 3)]
    for cell in read("seed_coverage")["cells"]:
        scatter = f"{cell['scatter']:g}{grows[cell['growth']]}"
        runs = ", ".join(map(str, cell["runs"]))
        lines.append(_row(runs, scatter, _percent(cell["held"], cell["alone"])))
    return "\n".join(lines)


PLACES = (
    "loss inside", "share inside", "loss at the least rung", "loss at the greatest rung",
    "loss three times beyond", "loss a decade beyond",
)  # fmt: skip
LADDERS = {
    "as shipped": "seeds 3, 3, 3, 3, 1, 1, scatter 0.8%",
    "one seed": "one seed, scatter 0.3%",
}


def curves() -> str:
    """Curves through planted ladders."""
    lines = [_row("ladder", "truth", *PLACES), _row(*["---"] * (2 + len(PLACES)))]
    summary = read("curve_coverage")["summary"]
    for world, name in LADDERS.items():
        for truth in ("straight", "bent"):
            ours, law = (summary[world][f"{truth}, {by}"] for by in ("chosen", "law"))
            cells = [
                " / ".join(
                    f"{100 * of[at]['mean']:.0f}, {100 * of[at]['least']:.0f}" for of in (ours, law)
                )
                for at in PLACES
            ]
            lines.append(_row(name, truth, *cells))
    return "\n".join(lines)


BLOCKS: dict[str, Callable[[], str]] = {
    "coverage of ratios": ratios,
    "tests of zero": of_zero,
    "false discoveries": sweeps,
    "control variates": control,
    "gain by control variates": gains,
    "coverage of the factor": factors,
    "largest rise": rises,
    "slopes over sizes": seeds,
    "curves through ladders": curves,
}
