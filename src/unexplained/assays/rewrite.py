"""`rewrite`: more and more of a model replaced by stated explanations, and what it is then worth.

Components are replaced in random orders, not in the order of how well they are explained, so
that the curve says what an arbitrary component's explanation is worth (Ryan Greenblatt: "explain
arbitrary components of GPT2-medium enough to perform as well as GPT2-sm"). For every component the
best of the library's rules is chosen by its loss alone on the fit part; mean ablation is among the
choices, so an explanation is never worse there than none. MLPs have no stated explanation: where
they are replaced it is by their mean, and the record says so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from unexplained.bars import bars_of, increase, loss, recovered, ties_with
from unexplained.bars.rungs import Seeds
from unexplained.errors import require_count, require_once
from unexplained.evaluate import Condition, Other, distinct, evaluate, joint
from unexplained.explanations import Explanation, StandIn, fit_program
from unexplained.explanations.program import Written
from unexplained.ladder.conditions import on_ladder, to_compare
from unexplained.ladder.scale import scale_of
from unexplained.ladder.scatter import seeds_of
from unexplained.ledger import Ledger
from unexplained.progress import Progress
from unexplained.record import Number
from unexplained.record.rewrite import BreakEven, ProgramRow, RewriteRecord, Step
from unexplained.sites import Site
from unexplained.stats import Settings, written
from unexplained.study.asked import (
    TAKEN,
    require_claims,
    require_donors,
    require_others,
)
from unexplained.study.choosing import Chosen, choose, counts_of, require_choosing, rules
from unexplained.study.provenance import found_again
from unexplained.study.run import Run
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text
from unexplained.text.ngrams import NGram, ngrams

COUNTED = ("bigram", "trigram")
"""Tables of counts that a whole explained model is held against in a sentence."""


@neutrally
def rewrite(
    subject: Subject,
    text: Text,
    sites: str = "L*.H*",
    *,
    weaker: Sequence[Other] = (),
    explanations: Sequence[StandIn] | None = None,
    programs: Sequence[Explanation] = (),
    draws: int = 3,
    settings: Settings = Settings(),  # noqa: B008  (frozen)
    folder: Path | None = None,
    say: Progress = lambda what, done, total: None,
) -> RewriteRecord:
    """Replace random components by explanations, more and more of them.

    Args:
        subject: The model.
        text: Where to measure; what is chosen and fitted is so on its fit part.
        sites: The components that may be replaced: heads, and MLPs by their mean.
        weaker: Models to compare with (`weaker_models`).
        explanations: What may be put in a head's place; the library's rules if not given.
        programs: Written programs, each offered in the place of the whole model.
        draws: Random orders.
        settings: Level, resamples and seed (which also draws the orders).
        folder: Where finished batches are kept and found again.
        say: Told about progress.

    Raises:
        ExplanationError: One cannot stand where it is to, two share a name, or a program gives no
            logits.
        MeasurementError: A number is out of bounds, two models share a name, or the model is in
            half precision; a loss is not finite. All but the last before anything is run.
        UnexplainedError: As in `require_choosing`.
    """
    started = time.perf_counter()
    require_count("draws", draws, least=1)
    require_claims(programs, program=True)
    written_names = [name for one in programs for name in (one.name, one.on_shuffled().name)]
    require_once("prediction", [*TAKEN, *written_names])
    require_others(weaker, [*TAKEN, *written_names])
    claimed = rules() if explanations is None else explanations
    where = require_choosing(subject, text, sites, claimed, folder)
    if programs:
        require_donors(text)
    chosen = choose(Run(subject, (text,), settings, folder, say=say), where, claimed)
    orders = _orders(where, draws, settings.seed)
    tables = ngrams(text, say=say)
    written = {
        one: (fit_program(one, text, seed=settings.seed),
              fit_program(one.on_shuffled(), text, seed=settings.seed))
        for one in programs
    }  # fmt: skip
    # Where no rule beats the mean, the explained model is the ablated one: measured once.
    steps_, measured = distinct(_steps(chosen, orders))
    conditions = [
        *steps_,
        *(Other(t.name, t) for t in tables),
        *weaker,
        *(w.condition() for pair in written.values() for w in pair),
    ]
    ledger = evaluate(
        subject, text, conditions, folder=folder,
        progress=lambda done, total: say(f"rewriting on {text.name}", done, total),
    )  # fmt: skip
    names, seeds = to_compare(weaker), seeds_of(ledger)
    whole = measured[_name("explained", orders[0], len(where))]
    placed = [whole, *(t.name for t in tables), *(one.name for one in programs)]
    steps = _read(ledger, orders, measured, names, seeds, settings)
    losses = {name: loss(ledger, name, settings=settings) for name in names}
    ordered = sorted(names, key=lambda name: -(losses[name].value or 0.0))
    return RewriteRecord(
        title=f"{subject.name} rewritten",
        verdict=_verdict(whole, _place(steps, len(where)), len(where), ledger, settings),
        text=text.name,
        text_fingerprint=text.fingerprint,
        text_notes=text.notes,
        documents=len(text.eval),
        tokens=text.predicted,
        components=len(where),
        intact=loss(ledger, "intact", settings=settings),
        tables={t.name: loss(ledger, t.name, settings=settings) for t in tables},
        counted=tuple(t.counted for t in tables if t.counted),
        rungs={name: losses[name] for name in ordered},
        choices=chosen.choices,
        bits=chosen.bits,
        steps=steps,
        programs=tuple(
            _program(ledger, one, pair, tables, names, seeds, settings)
            for one, pair in written.items()
        ),
        scale=scale_of(ledger, subject, placed, settings=settings) if on_ladder(subject) else None,
        break_even=tuple(_break_even(name, losses[name], steps, draws) for name in ordered),
        itself={
            name: ties_with(ledger, name, names, seeds=seeds, settings=settings).place
            for name in ordered
        },
        **found_again(subject, settings, started, weaker),
    )


def _program(
    ledger: Ledger,
    program: Explanation,
    pair: tuple[Written, Written],
    tables: Sequence[NGram],
    weaker: Sequence[str],
    seeds: Seeds | None,
    settings: Settings,
) -> ProgramRow:
    bases, shuffled = [table.name for table in tables], pair[1].condition().name
    return ProgramRow(
        name=program.name,
        says=program.says,
        description=pair[0].description,
        fit_tokens=None if pair[0].calibration is None else pair[0].calibration.tokens,
        bars=bars_of(ledger, program.name, bases, weaker, seeds=seeds, settings=settings),
        shuffled=bars_of(ledger, shuffled, bases, weaker, seeds=seeds, settings=settings),
    )


def _orders(sites: Sequence[Site], draws: int, seed: int) -> list[list[Site]]:
    rng = np.random.default_rng([seed, 9])
    return [[sites[i] for i in rng.permutation(len(sites))] for _ in range(draws)]


def _name(kind: str, order: Sequence[Site], count: int) -> str:
    # By the components themselves: two orders share their last step, and are then one condition.
    return f"{kind}: " + " ".join(sorted(map(str, order[:count])))


def _steps(chosen: Chosen, orders: Sequence[Sequence[Site]]) -> list[Condition]:
    found: dict[str, Condition] = {}
    for order in orders:
        for count in counts_of(len(order)):
            some = sorted(order[:count], key=str)
            for kind, parts in (("explained", chosen.explained), ("ablated", chosen.ablated)):
                name = _name(kind, order, count)
                if name not in found:
                    found[name] = joint(name, [parts[site] for site in some])
    return list(found.values())


def _read(
    ledger: Ledger,
    orders: Sequence[Sequence[Site]],
    measured: Mapping[str, str],
    weaker: Sequence[str],
    seeds: Seeds | None,
    settings: Settings,
) -> tuple[Step, ...]:
    steps = []
    for draw, order in enumerate(orders):
        for count in counts_of(len(order)):
            ablated = measured[_name("ablated", order, count)]
            explained = measured[_name("explained", order, count)]
            steps.append(
                Step(
                    draw=draw,
                    count=count,
                    explained=loss(ledger, explained, settings=settings),
                    ablated=loss(ledger, ablated, settings=settings),
                    recovered=recovered(ledger, explained, ablated, settings=settings),
                    place=ties_with(ledger, explained, weaker, seeds=seeds, settings=settings)
                    if weaker
                    else None,
                )
            )
    return tuple(steps)


def _break_even(rung: str, own: Number, steps: Sequence[Step], draws: int) -> BreakEven:
    """The last step before the model falls below a weaker one, in every order."""

    def last(draw: int, standing: tuple[str, ...]) -> int:
        best = 0
        for step in steps:
            if step.draw != draw or step.place is None:
                continue
            mine = next(c.standing for c in step.place.comparisons if c.rung == rung)
            if mine not in standing:
                break
            best = step.count
        return best

    return BreakEven(
        rung=rung,
        loss=own,
        counts=tuple(last(draw, ("beats", "ties")) for draw in range(draws)),
        certain=tuple(last(draw, ("beats",)) for draw in range(draws)),
    )


def _place(steps: Sequence[Step], components: int) -> str | None:
    """Where the model with everything replaced stands among weaker ones, if there are any."""
    whole = next(step for step in steps if step.count == components)
    return None if whole.place is None else whole.place.place


def _standing(place: str) -> str:
    """A place as the rest of a sentence: a tie is no equality, it is not told."""
    if place.startswith("ties with "):
        return f"it is not told from {place.removeprefix('ties with ')}"
    return f"it is {place}"


def _verdict(
    whole: str, place: str | None, components: int, ledger: Ledger, settings: Settings
) -> str:
    cost = increase(ledger, whole, settings=settings)
    explained = loss(ledger, whole, settings=settings)
    if cost.low is None:
        why = cost.refused or "too few documents for an interval"
        return f"What replacing all {components} components costs is refused: {why}."
    said = (
        f"With all {components} components replaced the loss rises by {written(cost, spec='.3f')} "
        f"nats per token to {written(explained, spec='.3f')}"
    )
    if place is not None:
        said += f"; among the weaker models {_standing(place)}"
    for table in COUNTED:
        above = increase(ledger, whole, intact=table, settings=settings)
        if above.low is not None and above.high is not None:
            way = "lower" if above.high < 0 else "higher" if above.low > 0 else ""
            told = f"for certain {way}" if way else "not told from it"
            said += (
                f". Its loss less a {table} table's is {written(above, spec='+.3f')} nats per "
                f"token: {told}"
            )
    return said + "."
