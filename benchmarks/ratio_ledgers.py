"""Real ratios for `ratio_coverage.py`: sums per document of `webmix` under many conditions.

A component and what stands in its place: numerator and denominator of a fraction recovered, one
pair for every site, ablation and stand-in. Measured once, then kept in the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

import unexplained as ux
from unexplained.ablations import ABLATIONS, plain
from unexplained.evaluate import observe
from unexplained.evaluate.conditions import Condition
from unexplained.explanations import LIBRARY
from unexplained.explanations.fit import fit, sites_to_observe
from unexplained.fetch import cache_folder
from unexplained.ladder.family import weaker_models
from unexplained.sites import Site

FEW = ("previous_token", "strict_induction", "own_attention_on_targets")
MANY = (
    "previous_token",
    "duplicate_token",
    "strict_induction",
    "own_attention_on_targets",
    "affine",
)


@dataclass(frozen=True)
class Source:
    """A model, the documents it reads, and the groups of sites that are replaced."""

    model: str
    documents: int
    groups: tuple[str, ...]
    rules: tuple[str, ...]
    """What stands in heads' places besides ablations; `affine`: strict induction, fitted."""
    block: int = 128


POPULATION = Source(
    "rung-4", 768,
    ("L*.H*", "L0.H*", "L1.H*", "L2.H*", "L0.H0", "L0.H1", "L1.H0", "L1.H1", "L2.H0", "L2.H1",
     "L0.mlp", "L1.mlp", "L2.mlp"),
    MANY,
)  # fmt: skip
DEMO = Source(
    "smollm2-135m", 135,
    ("L17.H3-5 L18.H6 L18.H7", "L18.H6", "L17.H3", "L28.H2", "L20.mlp", "L29.mlp"),
    FEW,
)  # fmt: skip


@dataclass(frozen=True)
class Ratio:
    """A fraction's two columns, one sum a document each (nats)."""

    name: str
    numerator: np.ndarray
    denominator: np.ndarray
    tokens: np.ndarray


def ratios(source: Source) -> list[Ratio]:
    """Every fraction that an assay of these sites would print: rules, and one ablation by another.

    Kept beside the ledgers, as those are measured anew whenever the engine's code has changed.
    """
    mark = hashlib.sha256(repr(source).encode()).hexdigest()[:16]
    kept = cache_folder() / "ratios" / f"{source.model}-{mark}.npz"
    if not kept.exists():
        found = _measured(source)
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            kept, names=[one.name for one in found], tokens=found[0].tokens,
            numerators=[one.numerator for one in found],
            denominators=[one.denominator for one in found],
        )  # fmt: skip
    with np.load(kept) as held:
        columns = zip(held["names"], held["numerators"], held["denominators"], strict=True)
        return [Ratio(str(name), top, bottom, held["tokens"]) for name, top, bottom in columns]


def _measured(source: Source) -> list[Ratio]:
    columns, tokens = _losses(source)
    whole = columns["intact"]
    found = []
    for group in source.groups:
        stands = [name for name in columns if name.startswith(f"{group}: ")]
        for ablation in stands:
            kind = ablation.split(": ")[1]
            if kind in ABLATIONS.all():
                found += [
                    Ratio(f"{other} / {kind}", columns[ablation] - columns[other],
                          columns[ablation] - whole, tokens)
                    for other in stands if other != ablation
                ]  # fmt: skip
    rungs = [name for name in columns if name.startswith("rung-") and "step" not in name]
    return found + [
        Ratio(f"{between} between {weak} and the model", columns[weak] - columns[between],
              columns[weak] - whole, tokens)
        for weak in rungs for between in rungs if weak != between
    ]  # fmt: skip


def _losses(source: Source) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Loss sums by condition, and tokens; measured, or found in the cache."""
    subject = ux.load(source.model)
    text = ux.text(
        "webmix", subject, documents=source.documents, fit_documents=64, block=source.block
    )
    conditions: list[Condition] = []
    for group in source.groups:
        conditions += _stand_ins(subject, text, group, source.rules)
    conditions += weaker_models(subject, text)
    ledger = ux.evaluate(
        subject, text, conditions, folder=cache_folder() / "ledgers",
        progress=lambda done, total: print(f"\r{source.model} {done}/{total}", end="", flush=True),
    )  # fmt: skip
    sums = {name: ledger.sums(name) for name in ledger.conditions}
    return {name: one.loss for name, one in sums.items()}, sums["intact"].tokens


def _stand_ins(
    subject: ux.Subject, text: ux.Text, group: str, names: Sequence[str]
) -> list[Condition]:
    """Every ablation of some sites, and of heads the rules of the library."""
    sites: Sequence[Site] = subject.sites(group)
    rules = []
    if sites[0].part == "H":
        rules = [LIBRARY.get(name) for name in names if name != "affine"]
        rules += [LIBRARY.get("strict_induction").affine()] if "affine" in names else []
    needed = [s for rule in rules for s in sites_to_observe(rule, sites, subject.shape)]
    seen = observe(subject, text, list(dict.fromkeys([*needed, *sites])))
    fills = [a.fit(seen, sites, 0) for a in ABLATIONS.all().values() if plain(a)]
    found: list[Condition] = [fill.condition(f"{group}: {fill.name}") for fill in fills]
    for rule in rules:
        stated = fit(rule.at(sites), subject.shape, seen, 0).condition()
        found.append(replace(stated, name=f"{group}: {stated.name}"))
    return found
