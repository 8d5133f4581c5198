"""How often intervals of ratios hold the truth, and how often nothing is taken for a denominator.

    python benchmarks/ratio_coverage.py [--texts 2000] [--only planted|real] [--documents 5 8]

With `--documents` only these cells are measured, and the others kept as they are. Of fewer than 16 documents
texts are drawn until `ENOUGH` are printed, or `MOST` are drawn: a standard error of 1.2 points at 93%.

`before` is the method of up to November 2026: a denominator whose expanded percentile interval is
above 0, the expanded percentile interval of resampled ratios. `after` is the present one. Both are
recomputed here for many texts at once; that they are what the package gives is checked on some.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from scipy.special import ndtr, stdtrit

from ratio_designs import Design, designs
from unexplained import intervals
from unexplained.stats import Settings, fraction, times_drawn
from unexplained.study.provenance import machine, versions
from unexplained.sums import LEAST_ALIKE

HERE = Path(__file__).parent
LEVEL, SEED, RESAMPLES = 0.95, 0, 1000
DOCUMENTS = (5, 8, 16, 48, 135)
FEW, ENOUGH, MOST = 16, 500, 12_000
"""Of fewer documents than the first, so many texts that are printed, of at most the third."""
CHECKED = 10
"""Texts of every cell on which the width is measured and the package itself is asked."""

if TYPE_CHECKING:
    from ratio_ledgers import Ratio

Texts = tuple[np.ndarray, np.ndarray, np.ndarray]


def before(texts: Texts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether printed, and both ends, (text,) each."""
    top, bottom, tokens = texts
    drawn = times_drawn(top.shape[1], RESAMPLES, SEED)
    tops, bottoms, sizes = (column @ drawn.T for column in texts)
    low, _ = _expanded(bottoms / sizes, bottom.sum(1) / tokens.sum(1), top.shape[1])
    ratios = np.copysign(np.inf, tops)
    np.divide(tops, bottoms, out=ratios, where=bottoms > 0)
    return low > 0, *_expanded(ratios, top.sum(1) / bottom.sum(1), top.shape[1])


def _expanded(draws: np.ndarray, value: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    tail = float(ndtr(math.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - LEVEL) / 2)))
    last = draws.shape[1] - 1
    cut = math.floor(tail * last)
    draws = np.partition(draws, (cut, last - cut), axis=1)
    return np.minimum(value, draws[:, cut]), np.maximum(value, draws[:, last - cut])


def after(texts: Texts, truth: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Whether printed, and whether the truth is between the ends, (text,) each."""
    top, bottom, tokens = texts
    told = (_beyond(bottom, tokens) > 0) & (bottom.sum(1) > 0) & (_alike(tokens) >= LEAST_ALIKE)
    told &= ~intervals.hides_tail(bottom, tokens)
    value = top.sum(1) / np.where(told, bottom.sum(1), 1.0)
    rest = top - value[:, None] * bottom
    below, above = intervals.apart(bottom, tokens) * intervals.aside(rest, bottom, tokens)
    left, divisor = ((intervals.left_out(x, tokens) ** 2).sum(1) for x in (rest, bottom))

    def inside(ratio: np.ndarray) -> np.ndarray:
        # The ends are those of the test, moved apart from the value: so is a ratio moved toward it.
        off = (ratio - value) / np.where(ratio < value, below, above)
        divided = off**2 * divisor / np.maximum(left + off**2 * divisor, intervals.TINY)
        return np.asarray(_beyond(rest - off[:, None] * bottom, tokens, divided) <= 0)

    reach = intervals.reach(top.shape[1]) * np.maximum(1, np.abs(value))
    printed = told & ~inside(value - reach) & ~inside(value + reach)
    return printed, printed if truth is None else inside(np.full_like(value, truth))


def _alike(tokens: np.ndarray) -> np.ndarray:
    """`sums.alike` of many texts at once."""
    return np.asarray(tokens.sum(1) ** 2 / (tokens**2).sum(1))


def _beyond(sums: np.ndarray, tokens: np.ndarray, divided: np.ndarray | float = 1.0) -> np.ndarray:
    """What `intervals` tests, for many texts at once."""
    falls = intervals.left_out(sums, tokens)
    return intervals.beyond(sums.sum(1), falls, tokens, LEVEL, divided=divided)


def cell(design: Design, documents: int, texts: int) -> dict[str, Any]:
    """Both methods on the same texts, and the present one on as many more as show how often it holds."""
    rng = np.random.default_rng([SEED, documents, crc32(repr(design).encode())])
    drawn = design.draw(documents, texts, rng)
    truth = design.truth(documents)
    was, low, high = before(drawn)
    first = after(drawn, truth)
    now, inside = _more(first, design, documents, rng, truth) if documents < FEW else first
    found: dict[str, Any] = {"documents": documents, "texts": texts}
    if now.size > texts:
        found["texts now"] = now.size
    if design.unseen(documents) > 0.05:
        found["unseen"] = round(design.unseen(documents), 3)
    if truth is None:
        found |= {"accepted before": _share(was), "accepted": _share(now)}
    else:
        found |= {
            "printed before": _share(was), "printed": _share(now),
            "coverage before": _share(((low <= truth) & (truth <= high))[was]),
            "coverage": _share(inside[now]),
            "wrong before": _share(was & ~((low <= truth) & (truth <= high))),
            "wrong": _share(now & ~inside),
        }  # fmt: skip
    return found | _as_the_package(drawn, truth, (was, low, high), first)


def _more(
    first: tuple[np.ndarray, np.ndarray],
    design: Design,
    documents: int,
    rng: np.random.Generator,
    truth: float | None,
) -> tuple[np.ndarray, np.ndarray]:
    """`after` of these texts and of more, until `ENOUGH` are printed or `MOST` are drawn."""
    parts = [first]
    while sum(p.size for p, _ in parts) < (ENOUGH * 4 if truth is None else MOST):
        parts.append(after(design.draw(documents, ENOUGH * 2, rng), truth))
        if truth is not None and sum(p.sum() for p, _ in parts) >= ENOUGH:
            break
    printed, inside = (np.concatenate(some) for some in zip(*parts, strict=True))
    return printed, inside


def _as_the_package(
    drawn: Texts,
    truth: float | None,
    before_: tuple[np.ndarray, np.ndarray, np.ndarray],
    first: tuple[np.ndarray, np.ndarray],
) -> dict[str, Any]:
    """What the package itself says of some of the texts, and how long its intervals are."""
    (was, low, high), (now, inside) = before_, first
    some = fractions(drawn, range(min(CHECKED, was.size)))
    # The package looks for ends, which may lie beyond a gap in what the test lets pass.
    found: dict[str, Any] = {
        "printed alike": int(np.sum([(n.value is not None) == now[i] for i, n in enumerate(some)]))
    }
    if truth is None:
        return found
    both = [i for i, number in enumerate(some) if number.value is not None and was[i]]
    widths = [some[i].high - some[i].low for i in both]
    held = [bool(some[i].low <= truth <= some[i].high) for i in both]
    found["agrees"] = int(np.sum(held == inside[both]))
    found["asked"] = len(both)
    if both:
        found["width"] = round(float(np.median(widths)), 4)
        found["width before"] = round(float(np.median((high - low)[both])), 4)
    return found


def fractions(texts: Texts, places: range) -> list[Any]:
    """What the package says of some of the texts."""
    return [
        fraction(*(column[i] for column in texts), what="damage", settings=Settings(level=LEVEL))
        for i in places
    ]


def _share(of: np.ndarray) -> float | None:
    return round(float(np.mean(of)), 4) if of.size else None


def planted(
    texts: int, sizes: Sequence[int], kept: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Every design at every number of documents, those of other numbers as they are kept."""
    known = {
        (json.dumps(row["design"]), cell["documents"]): cell
        for row in kept
        for cell in row["cells"]
    }
    rows = []
    for design in designs():
        cells = [
            cell(design, n, texts if n <= 48 else texts // 2)
            if n in sizes else known[json.dumps(asdict(design)), n]
            for n in DOCUMENTS
        ]  # fmt: skip
        rows.append({"design": asdict(design), "kind": design.kind, "cells": cells})
        print(design, [c.get("coverage", c.get("accepted")) for c in cells], flush=True)
    return rows


def real(sizes: Sequence[int], kept: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Real documents: the same two methods, and the package itself, on some of a text's documents.

    Of the many documents of a rung, draws with replacement, whose truth is all of them. Of the
    demo's model, what is printed and how wide it is, on some of its documents and on all.
    """
    from ratio_ledgers import DEMO, POPULATION, ratios

    known = {(row["model"], row["documents"]): row for row in kept}
    rows = []
    for source, many in ((POPULATION, (8, 16, 48, 96, 135)), (DEMO, (48, 96, 135))):
        for n in many:
            if n not in sizes:
                rows.append(known[source.model, n])
                continue
            rows.append({"model": source.model, "of": source.documents, "documents": n}
                        | _on_some(ratios(source), n, whole=source is POPULATION))  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def _on_some(found: Sequence[Ratio], n: int, *, whole: bool) -> dict[str, Any]:
    rng = np.random.default_rng([SEED, n])
    was, now, held_before, held, wider = [], [], [], [], []
    for one in found:
        columns = (one.numerator, one.denominator, one.tokens.astype(float))
        if one.denominator.sum() <= 0:
            continue
        many = len(one.tokens)
        texts = 1 if n == many else 40 if whole else 8
        drawn = np.stack([np.sort(rng.choice(many, n, replace=whole)) for _ in range(texts)])
        cells = tuple(column[drawn] for column in columns)
        truth = float(columns[0].sum() / columns[1].sum())
        printed_before, low, high = before(cells)
        printed, inside = after(cells, truth)
        was.append(printed_before)
        now.append(printed)
        held_before.append(((low <= truth) & (truth <= high))[printed_before])
        held.append(inside[printed])
        for place, number in enumerate(fractions(cells, range(min(texts, 3 if whole else 8)))):
            if number.value is not None and high[place] > low[place]:
                wider.append((number.high - number.low) / (high[place] - low[place]))
    old, new = np.concatenate(was), np.concatenate(now)
    return {
        "ratios": len(was), "texts": int(old.size),
        "printed before": int(old.sum()), "printed": int(new.sum()),
        "refused now alone": int((old & ~new).sum()), "refused before alone": int((new & ~old).sum()),
        **({"coverage before": _share(np.concatenate(held_before)),
            "coverage": _share(np.concatenate(held))} if whole else {}),
        "times as wide": {f"{q:.0%}": round(float(np.quantile(wider, q)), 3)
                          for q in (0.5, 0.9, 0.95, 0.99)},
        "at most 1.25 times as wide": _share(np.array(wider) <= 1.25),
    }  # fmt: skip


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--only", choices=("planted", "real"))
    parser.add_argument("--documents", type=int, nargs="*", default=[*DOCUMENTS, 96])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "ratio_coverage.json")
    asked = parser.parse_args()
    started = time.perf_counter()
    kept = json.loads(asked.out.read_text("utf-8")) if asked.out.exists() else {}
    found = kept if asked.only else {}
    found |= {
        "what": "Coverage of the intervals of ratios among those printed, and how often an empty "
        "denominator is accepted.",
        "level": LEVEL, "seed": SEED, "resamples of before": RESAMPLES,
        "versions": versions(), "machine": machine(),
    }  # fmt: skip
    if asked.only != "real":
        found["planted"] = planted(asked.texts, asked.documents, kept.get("planted", []))
    if asked.only != "planted":
        found["real"] = real(asked.documents, kept.get("real", []))
    found["seconds"] = round(time.perf_counter() - started)
    asked.out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
