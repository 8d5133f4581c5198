"""The recipes of the ladder: a geometric series of compute, and attention-only models beside it.

Sizes are near what a scan of widths at equal compute finds best (`benchmarks/isoflop.py`,
docs/ladder.md). The attention-only recipes are enriched with repeats: on natural text alone such a
model grew no induction head in 4,000 large steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from unexplained.errors import SubjectError, near_matches
from unexplained.ladder.recipe import Recipe

FIRST, FACTOR = 4e11, 3.0
"""Compute of the first rung (FLOPs), and from each to the next."""

SEEDED = 4
"""Rungs up to this one are trained with three seeds, so that run-to-run noise is known."""

WATCHED = 4
"""The rung whose run is kept as checkpoints, and which is trained on less data as well."""

SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Of the watched rung's steps: after how many a checkpoint is kept, and how long its shorter
runs are."""


@dataclass(frozen=True)
class RunPlan:
    """A run and the steps after which its weights are kept."""

    recipe: Recipe
    checkpoints: tuple[int, ...] = ()


def _rung(number: int, width: int, layers: int, heads: int, rows: int, rate: float) -> Recipe:
    recipe = Recipe(f"rung-{number}", width, layers, heads, 1, rows, rate)
    target = FIRST * FACTOR ** (number - 1)
    return replace(recipe, steps=round(target / recipe.compute))


RUNGS = (
    _rung(1, 24, 2, 2, 4, 5e-3),
    _rung(2, 32, 2, 2, 4, 5e-3),
    _rung(3, 48, 2, 2, 4, 5e-3),
    _rung(4, 64, 3, 2, 8, 4e-3),
    _rung(5, 96, 3, 3, 8, 3e-3),
    _rung(6, 128, 4, 4, 16, 3e-3),
)

ATTENTION_ONLY = tuple(
    Recipe(
        f"attention-{layers}",
        width=96,
        layers=layers,
        heads=4,
        head_width=32,
        steps=16_000,
        rows=8,
        rate=3e-3,
        mlp=False,
        tied=False,
        attention_bias=True,
        rotary_base=1000.0,
        weight_decay=0.01,
        repeats=0.5,
        context=96,
        decay=0.1,
    )
    for layers in (2, 3)
)
GROWTH = (8000, 10_000)
"""Steps after which attention-only models are kept: induction heads grow between two of them."""


def plans() -> dict[str, RunPlan]:
    """Every run of the series by name, the longest first, so that two at once end together."""
    found: dict[str, RunPlan] = {}
    for number, recipe in enumerate(RUNGS, start=1):
        for seed in range(3 if number <= SEEDED else 1):
            name = recipe.name + (f"-seed-{seed}" if seed else "")
            watched = number == WATCHED and seed == 0
            kept = tuple(round(share * recipe.steps) for share in SHARES) if watched else ()
            found[name] = RunPlan(replace(recipe, name=name, seed=seed), kept)
    watched_recipe = RUNGS[WATCHED - 1]
    for share in SHARES:
        steps = round(share * watched_recipe.steps)
        name = f"{watched_recipe.name}-annealed-{steps}"
        found[name] = RunPlan(replace(watched_recipe, name=name, steps=steps))
    for recipe in ATTENTION_ONLY:
        found[recipe.name] = RunPlan(recipe, GROWTH)
    return dict(sorted(found.items(), key=lambda item: -item[1].recipe.compute))


def plan_of(name: str) -> RunPlan:
    """The run of that name.

    Raises:
        SubjectError: There is none.
    """
    known = plans()
    if name not in known:
        raise SubjectError(
            f"The run '{name}' of the ladder", "there is none", near_matches(name, known)
        )
    return known[name]
