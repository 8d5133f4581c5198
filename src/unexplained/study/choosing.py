"""The best of several explanations for every component, chosen on the fit part by the loss alone.

Mean ablation is among the choices, so that an explanation is never worse there than none. MLPs have
no stated explanation: where they are replaced it is by their mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unexplained.ablations import ABLATIONS
from unexplained.errors import ExplanationError
from unexplained.evaluate import Activations, Edited
from unexplained.explanations import LIBRARY, Explanation, StandIn
from unexplained.sites import Site
from unexplained.study.arm import arm
from unexplained.study.asked import (
    components,
    require_claims,
    require_donors,
    require_folder,
    require_standing,
    require_tokens,
)
from unexplained.study.controls import possible_controls
from unexplained.study.run import Run
from unexplained.subject import Subject
from unexplained.text import Text

NONE = "mean"
"""What stands for a component that no rule explains better than its mean does."""


@dataclass(frozen=True)
class Choice:
    """The explanation that was chosen for a component, on the fit part."""

    site: str
    explanation: str
    increase: float
    """Loss on the fit part with it alone in place, minus the intact model's (nats per token)."""
    mean: float
    """The same of mean ablation: what the best explanation was up against."""


@dataclass(frozen=True)
class Ends:
    """What the controls of a component's explanation are made from."""

    itself: Edited
    nothing: Edited
    elsewhere: Edited
    """The explanation on what it should not be right about; itself where no control can tell."""
    tells: bool


@dataclass(frozen=True)
class Chosen:
    """For every component what goes in its place, and its mean."""

    explained: Mapping[Site, Edited]
    ablated: Mapping[Site, Edited]
    choices: tuple[Choice, ...]
    bits: int
    ends: Mapping[Site, Ends]
    """Of the components that something is claimed of: the others stand at their mean."""
    reach: int
    """Tokens of the longest document that another of the fit part is as long as."""


def rules() -> tuple[Explanation, ...]:
    """The library's patterns that read tokens alone, with the rest on the mean and on the first."""
    plain = [
        one for one in LIBRARY.all().values() if one.gives == "pattern" and one.reads == ("tokens",)
    ]
    return tuple(variant for one in plain for variant in (one, one.with_rest("first")))


def choose(run: Run, sites: Sequence[Site], explanations: Sequence[StandIn]) -> Chosen:
    """The best explanation of every component by itself, by the loss on the fit part.

    Raises:
        MeasurementError: A loss is not finite.
    """
    heads = [site for site in sites if site.part == "H"]
    every = [*explanations, *(c for e in explanations for c in possible_controls(e))]
    observed = [
        *(s for e in every for s in e.observes(heads, run.subject.shape)),
        *(site.component.at("z") if site.part == "H" else site for site in sites),
    ]
    activations, seed = run.observe(observed), run.settings.seed
    means = {
        site: ABLATIONS.get(NONE).fit(activations, [site], seed).condition(f"{NONE} at {site}")
        for site in sites
    }
    candidates: dict[Site, dict[str, Edited]] = {site: {NONE: means[site]} for site in sites}
    bits = {(site, NONE): 0 for site in sites}
    for one in explanations:
        for site in heads:
            fitted = one.fit((site,), run.subject.shape, activations, seed)
            bits[site, one.name] = fitted.description.bits
            condition = fitted.condition()
            candidates[site][one.name] = replace(condition, name=f"{one.name} at {site}")
    conditions = [c for known in candidates.values() for c in known.values()]
    one_by_one = [arm(c, role="candidate") for c in conditions]
    ledger = run.measure(*one_by_one, part="fit", what="choosing explanations").ledger
    base = ledger.sums("intact").per_token()
    best, choices = {}, []
    for site, known in candidates.items():
        costs = {name: ledger.sums(c.name).per_token() - base for name, c in known.items()}
        name = min(costs, key=lambda name: costs[name])
        best[site] = known[name]
        choices.append(
            Choice(site=str(site), explanation=name, increase=costs[name], mean=costs[NONE])
        )
    taken = {site: c.explanation for site, c in zip(candidates, choices, strict=True)}
    total = sum(bits[at] for at in taken.items())
    ends: dict[Site, Ends] = {}
    for one in explanations:
        mine = [site for site, name in taken.items() if name == one.name]
        ends |= _ends(run, one, mine, activations) if mine else {}
    return Chosen(best, means, tuple(choices), total, ends, _reach(run.text))


def _ends(
    run: Run, one: StandIn, sites: Sequence[Site], activations: Activations
) -> dict[Site, Ends]:
    """What the controls are made from at the components that an explanation was chosen for."""
    shape, seed = run.subject.shape, run.settings.seed
    other = one.control(sites, shape, activations, seed).explanation if _reach(run.text) else None

    def at(site: Site, what: StandIn) -> Edited:
        return what.fit((site,), shape, activations, seed).condition()

    itself, nothing = one.ends()
    return {
        site: Ends(at(site, itself), at(site, nothing), at(site, other or one), other is not None)
        for site in sites
    }


def _reach(text: Text) -> int:
    """Up to which length every document has another of the fit part to take values from; 0: none has."""
    one, other, *_ = *sorted((len(block.tokens) for block in text.fit), reverse=True), 0, 0
    return one if one == other else 0


def require_choosing(
    subject: Subject,
    text: Text,
    sites: str,
    explanations: Sequence[StandIn],
    folder: Path | None,
) -> tuple[Site, ...]:
    """The components among whose explanations can be chosen; refused before anything is run.

    Raises:
        SiteError: A component does not exist, or is one value of a head.
        ExplanationError: One cannot stand at a head, or two share a name.
        MeasurementError: The model is in half precision; what is finished cannot be kept.
        TextError: A part has no documents, or the text is of another model's tokens.
    """
    require_claims(explanations)
    where = components(subject, sites)
    require_standing(explanations, [site for site in where if site.part == "H"], subject)
    if any(one.name == NONE for one in explanations):
        raise ExplanationError(f"The explanation '{NONE}'", "that name stands for mean ablation")
    subject.require_full_precision("Choosing an explanation of every component")
    require_tokens(subject, text, "eval", "fit")
    if any(one.shuffled for one in explanations):
        require_donors(text, within=True)
    require_folder(folder, subject)
    return where


def counts_of(components: int) -> tuple[int, ...]:
    """How many are replaced: doubling, and all.

    >>> counts_of(10)
    (1, 2, 4, 8, 10)
    """
    found, now = [], 1
    while now < components:
        found.append(now)
        now *= 2
    return (*found, components)
