"""W5: estimators against the exact sweep, repeated on parts of a text whose exact answer is known.

Every head is patched on `ORBITS` pairs with their role-swaps; that is the truth. Then, `REPEATS`
times, `DOCUMENTS` of them are drawn as if there were no others, and `SAMPLE` of those as the part
that is measured exactly. The interval of an estimator is for prompts like these, so it should hold
the truth, which is of several times as many, about as often as it says.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import unexplained as ux
from common import Work
from unexplained.ablations import ABLATIONS, record_for
from unexplained.bars.effects import Changes, changes
from unexplained.bars.measures import measure_of
from unexplained.circuits import attribute_nodes
from unexplained.estimators import at_random, missed_among, survivors, with_control
from unexplained.stats import Settings, mean_per_token

ORBITS, DOCUMENTS, SAMPLE, REPEATS = 128, 48, 12, 20
TOP, CHECKED = 10, 20
SETTINGS = Settings(resamples=1000)


def ours_w5(work: Work) -> dict[str, Any]:
    """Cost, error and coverage of three estimators, and of the exact sweep for comparison."""
    orbits = 24 if work.small else ORBITS
    text = ux.pairs("ioi", work.subject, pairs=2 * orbits, fit_pairs=2)
    sites = [work.site(*head) for head in work.all_heads]
    patch = ABLATIONS.get("patch")
    recorded = record_for(patch, work.subject, text, sites)
    fills = {site: patch.fit(recorded, [site], 0) for site in sites}
    start = time.perf_counter()
    conditions = [fill.condition(str(site)) for site, fill in fills.items()]
    ledger = ux.evaluate(work.subject, text, conditions, measure="logit difference")
    exact_seconds = time.perf_counter() - start
    found = changes(ledger, sites, measure_of("logit difference", pairs=True))
    start = time.perf_counter()
    scores = attribute_nodes(work.subject, text, fills, measure="logit difference")
    attribution_seconds = time.perf_counter() - start
    order = [scores.documents.index(unit) for unit in sorted(text.units)]
    places = [scores.sites.index(site) for site in sites]
    approx = scores.values[order][:, places].T
    # What attributing one component on one prompt costs, in exact measurements of the same.
    price = attribution_seconds / exact_seconds
    return {
        "what": f"patching {len(sites)} heads on ioi: estimators against {orbits} orbits",
        "orbits": orbits,
        "documents": _sizes(work)[0],
        "sample": _sizes(work)[1],
        "repeats": REPEATS,
        "seconds of the exact sweep": exact_seconds,
        "seconds of attribution": attribution_seconds,
        "correlation of attribution and effect over heads": float(
            np.corrcoef(found.sums.sum(1), approx.sum(1))[0, 1]
        ),
        "rows": _rows(found, approx, price, *_sizes(work)),
    }


def _sizes(work: Work) -> tuple[int, int]:
    return (18, 6) if work.small else (DOCUMENTS, SAMPLE)


def _rows(
    found: Changes, approx: np.ndarray, price: float, documents: int, sample: int
) -> list[dict[str, Any]]:
    truth = found.sums.sum(1) / found.tokens.sum()
    told = {name: _Told(truth) for name in ("exact", "a part alone", "control variates", "race")}
    for repeat in range(REPEATS):
        drawn = at_random(documents, found.tokens.size, seed=repeat)
        exact, near, tokens = found.sums[:, drawn], approx[:, drawn], found.tokens[drawn]
        part = at_random(sample, documents, seed=1000 + repeat)
        for i, row in enumerate(exact):
            told["exact"].take(i, mean_per_token(row, tokens, settings=SETTINGS))
            few = mean_per_token(row[part], tokens[part], settings=SETTINGS)
            told["a part alone"].take(i, few)
            both = with_control(row[part], near[i], tokens, part, settings=SETTINGS)
            told["control variates"].take(i, both.number)
        _race(told["race"], exact, tokens, part, repeat)
        told["exact"].cost.append(1.0)
        told["a part alone"].cost.append(sample / documents)
        told["control variates"].cost.append(sample / documents + price)
    return [{"tool": name} | one.row() for name, one in told.items()]


class _Told:
    """What an estimator said of each component, against the truth."""

    def __init__(self, truth: np.ndarray) -> None:
        self.truth = truth
        self.squares: list[float] = []
        self.widths: list[float] = []
        self.held: list[bool] = []
        self.cost: list[float] = []
        self.kept: list[float] = []
        self.bound: list[bool] = []

    def take(self, component: int, number: Any) -> None:
        """One interval."""
        value = self.truth[component]
        self.squares.append((number.value - value) ** 2)
        self.widths.append(number.high - number.low)
        self.held.append(bool(number.low <= value <= number.high))

    def row(self) -> dict[str, Any]:
        """Its line of the table."""
        row: dict[str, Any] = {
            "share of the exact sweep's cost": float(np.mean(self.cost)),
            "root mean square error, logits": float(np.sqrt(np.mean(self.squares))),
            "mean width of the interval, logits": float(np.mean(self.widths)),
            "coverage, 95% asked": float(np.mean(self.held)),
            "intervals": len(self.held),
        }
        if self.kept:
            row[f"of the {TOP} strongest kept"] = float(np.mean(self.kept))
            row["bound on the missed held"] = float(np.mean(self.bound))
        return row


def _race(
    told: _Told, exact: np.ndarray, tokens: np.ndarray, part: np.ndarray, repeat: int
) -> None:
    """Choose on the part, report on the others."""
    rest = np.setdiff1d(np.arange(tokens.size), part)
    selection = survivors(exact[:, part], tokens[part], keep=TOP)
    for i in selection.kept:
        told.take(i, mean_per_token(exact[i, rest], tokens[rest], settings=SETTINGS))
    strongest = set(np.argsort(-np.abs(told.truth))[:TOP].tolist())
    told.kept.append(len(strongest & set(selection.kept)) / TOP)
    count = min(CHECKED, len(selection.rejected))
    checked = [
        selection.rejected[i] for i in at_random(count, len(selection.rejected), seed=repeat)
    ]
    ran = len(selection.kept) + len(checked)
    told.cost.append((part.size * len(exact) + rest.size * ran) / (tokens.size * len(exact)))
    if not checked:
        told.bound.append(True)
        return
    bound = missed_among(
        exact[checked][:, rest], tokens[rest], rejected=len(selection.rejected),
        threshold=selection.bar,
    ).here  # fmt: skip
    sizes = np.abs(exact[:, rest].sum(1) / tokens[rest].sum())
    truly = sum(sizes[i] >= selection.bar for i in selection.rejected)
    told.bound.append(bool(truly <= bound.count))
