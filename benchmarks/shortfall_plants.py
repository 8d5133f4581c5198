"""Whether planted shortfalls land where they belong, over seeds of the text and of the refits.

    python benchmarks/shortfall_plants.py [--seeds 20] [--steps 60]   # writes results/shortfall_plants.json

Some 15 minutes.

The model and the claims are those of the tests (`tests/repairable.py`), the refits the tests' own. Clumsy
plants: no part is told to be wrong, and at least half of the shortfall is told to be clumsy. Wrong ones:
no part is told to be clumsy, and at least half is told to be wrong. Half right: the bounds meet.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

import repairable  # noqa: E402
from unexplained import bars  # noqa: E402
from unexplained.ablations import ABLATIONS  # noqa: E402
from unexplained.bars.shortfall import Shortfall  # noqa: E402
from unexplained.evaluate import Edited, evaluate, observe  # noqa: E402
from unexplained.evaluate.conditions import distinct  # noqa: E402
from unexplained.repairs.refit import How, refit  # noqa: E402
from unexplained.settings import Settings  # noqa: E402
from unexplained.study.provenance import machine, versions  # noqa: E402

FIT = 240
"""Documents to fit on: of 60, as in the tests, a refit of 120 steps learns the text by heart, and what is
only rescaled is told to be wrong (`refit.MOST_PASSES`)."""
TIE = 0.05
"""Nats per token below which nothing is told."""


def _low(number: object) -> float:
    low = getattr(number, "low", None)
    return float("-inf") if low is None else float(low)


def clumsy(split: Shortfall) -> bool:
    """All of it is the substitution's fault."""
    short = split.shortfall.value or 0.0
    return _low(split.wrong_least) < TIE and _low(split.clumsy_least) > 0.5 * short


def wrong(split: Shortfall) -> bool:
    """All of it is the claim's fault."""
    short = split.shortfall.value or 0.0
    return _low(split.clumsy_least) < TIE and _low(split.wrong_least) > 0.5 * short


def half(split: Shortfall) -> bool:
    """The claim is wrong by about half of the damage, and both pairs say so."""
    worth = split.damage.value or 0.0
    return all(
        0.3 * worth < (one.value or 0.0) < 0.7 * worth
        for one in (split.wrong_least, split.wrong_most)
    )


PLANTS: dict[str, tuple[str, str, Callable[[Shortfall], bool]]] = {
    "right but rescaled": ("plain", "rescaled", clumsy),
    "right but off beside its subspace": ("plain", "beside", clumsy),
    "right with a partner": ("partner", "right", clumsy),
    "half right": ("plain", "half", half),
    "wrong": ("plain", "wrong", wrong),
}


def splits(model: str, claims: list[str], seed: int, how: How) -> dict[str, Shortfall]:
    """Each claim's shortfall, on a text and with refits of this seed."""
    subject, text, sites = (
        repairable.model(model),
        repairable.text(fit_documents=FIT, seed=seed),
        (repairable.AT,),
    )
    seen = observe(subject, text, [repairable.AT.at("z"), repairable.AT.at("out")])
    mean = ABLATIONS.get("mean").fit(seen, sites, 0).condition("mean")
    stated = {
        one: repairable.CLAIMS[one].fit(sites, subject.shape, seen, 0).condition() for one in claims
    }
    intact = Edited("intact model", (), "nothing is edited")
    every, seeds = [intact, mean, *stated.values()], [3 * seed + i for i in range(3)]
    found = refit(subject, text, every, seeds, first=1, how=how, batch_tokens=512)
    refitted = [one.condition for some in found.values() for one in some]
    once, names = distinct([mean, *stated.values(), *refitted])
    ledger = evaluate(subject, text, once).also(names)
    after = {name: tuple(one.condition.name for one in some) for name, some in found.items()}
    return {
        one: bars.shortfall(
            ledger, claim.name, "mean",
            {"intact": after[intact.name], "nothing": after["mean"], "claim": after[claim.name]},
            settings=Settings(),
        )
        for one, claim in stated.items()
    }  # fmt: skip


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    seeds, how = given.seeds, How(steps=given.steps, rank=0, rate=1e-2)
    landed: dict[str, list[bool]] = {name: [] for name in PLANTS}
    for seed in range(seeds):
        found = {
            model: splits(model, [c for m, c, _ in PLANTS.values() if m == model], seed, how)
            for model in ("plain", "partner")
        }
        for name, (model, claim, lands) in PLANTS.items():
            landed[name].append(lands(found[model][claim]))
        print(seed, {name: sum(some) for name, some in landed.items()}, flush=True)
    about = {
        "seeds": seeds,
        "refit": how.says,
        "fit documents": FIT,
        "versions": versions(),
        "machine": machine(),
    }
    cells = {name: {"landed": sum(some), "of": len(some)} for name, some in landed.items()}
    path = HERE / "results" / "shortfall_plants.json"
    path.write_text(json.dumps(about | {"plants": cells}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
