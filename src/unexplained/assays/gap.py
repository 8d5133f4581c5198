"""`gap`: where the gap between a model and a weaker one lives (MISSION 12).

Neel Nanda: "it comes from a few crucial places where GPT-4 gets it right and GPT-3.5 gets it
wrong", against a gap of one per cent everywhere. Tokens are put in order by the gap of a second pair
of models, because in the order of their own losses chance differences look like concentration.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from unexplained.ablations import ABLATIONS
from unexplained.assays.asked import (
    TAKEN,
    components,
    require_claims,
    require_donors,
    require_folder,
    require_share,
    require_standing,
    require_tokens,
)
from unexplained.assays.provenance import found_again
from unexplained.bars import concentration, crucial, loss, over_pairs, recovered_on
from unexplained.errors import MeasurementError, require_once
from unexplained.evaluate import AnotherModel, Condition, Other, evaluate, observe
from unexplained.evaluate.evaluate import Progress
from unexplained.explanations import LIBRARY, Explanation, fit
from unexplained.explanations.fit import sites_to_observe
from unexplained.ladder.conditions import require_same_tokens, require_unseen_by
from unexplained.ledger import Ledger
from unexplained.record import Number
from unexplained.record.bars import Concentration, OverRuns
from unexplained.record.gap import GapRecord
from unexplained.sites import Site
from unexplained.stats import Settings, written
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text

INTACT, ABLATION = "intact", "mean"
FEW = "too few documents for an interval"


@neutrally
def gap(
    subject: Subject,
    weak: Subject,
    text: Text,
    *,
    chosen_by: tuple[Subject, Subject],
    runs: Sequence[tuple[Subject, Subject]] = (),
    sites: str = "",
    explanations: Sequence[Explanation] | None = None,
    share: float = 0.05,
    settings: Settings = Settings(),  # noqa: B008  (frozen)
    folder: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> GapRecord:
    """Measure how concentrated the gap to a weaker model is, and what is explained there.

    Args:
        subject: The strong model.
        weak: A weaker one with the same tokenizer.
        text: Where to measure.
        chosen_by: A second strong and weak model, neither of them one of the first two: other
            seeds, or other rungs. They put the tokens in order.
        runs: Other runs of the two, strong and weak, that differ by their seed alone; two or more.
            Over them and the two it is said how large the gap is and how concentrated, other seeds
            counted. The choosing pair may be among them.
        sites: Components to be explained on the crucial tokens; none if empty.
        explanations: What is claimed of them; strict induction if not given.
        share: Of all tokens, how many are crucial.
        settings: Level, resamples and seed.
        folder: Where finished batches are kept and found again.
        progress: Told about finished work.

    Raises:
        MeasurementError: The models' tokenizers differ, or two of them are one model; the share is
            not between 0 and 1; there is one other run.
        ExplanationError: One cannot stand at a component.
        SiteError: A component does not exist.
        TextError: The text is of other models' tokens. All before anything is run.
    """
    started = time.perf_counter()
    require_share(share)
    second = (chosen_by[0].name, chosen_by[1].name)
    beside = [one for pair in runs for one in pair if one not in chosen_by]
    _require_models(subject, weak, chosen_by, runs, beside)
    claimed = [LIBRARY.get("strict_induction")] if explanations is None else explanations
    where = components(subject, sites) if sites else ()
    if sites:
        named = [weak.name, *second, *(one.name for one in beside)]
        _require_claims(subject, text, where, claimed, named)
    for other in (weak, *chosen_by, *beside):
        require_same_tokens(subject, other)
        require_tokens(other, text, "eval")
    require_tokens(subject, text, "eval")
    if sites:
        require_tokens(subject, text, "fit")
    require_unseen_by(subject, text)
    require_folder(folder, subject)
    others = [Other(one.name, AnotherModel(one)) for one in (weak, *chosen_by, *beside)]
    conditions: list[Condition] = [*others]
    claims = _claims(subject, text, where, claimed, settings.seed, folder) if sites else []
    conditions += claims
    ledger = evaluate(
        subject, text, conditions, keep_tokens=[INTACT, *(c.name for c in conditions)],
        folder=folder, progress=progress,
    )  # fmt: skip
    spread = concentration(ledger, INTACT, weak.name, chosen_by=second, settings=settings)
    picked = crucial(ledger, *second, share=share)
    explained = [c.name for c in claims if c.name != ABLATION]
    over = _over(ledger, subject, weak, runs, settings) if runs else None
    return GapRecord(
        title=f"Where the gap of {subject.name} to {weak.name} lives",
        verdict=_verdict(spread, over, subject.name, weak.name),
        text=text.name,
        text_fingerprint=text.fingerprint,
        text_notes=text.notes,
        documents=len(text.eval),
        tokens=text.predicted,
        weak=weak.name,
        chosen_by=second,
        strong_loss=loss(ledger, INTACT, settings=settings),
        weak_loss=loss(ledger, weak.name, settings=settings),
        spread=spread,
        flattered=concentration(ledger, INTACT, weak.name, settings=settings),
        runs=over,
        sites=tuple(map(str, where)),
        on_crucial=tuple(
            recovered_on(ledger, name, ABLATION, picked, weak=weak.name, settings=settings)
            for name in explained
        ),
        **found_again(subject, settings, started, others),
    )


def _require_models(
    subject: Subject,
    weak: Subject,
    chosen_by: tuple[Subject, Subject],
    runs: Sequence[tuple[Subject, Subject]],
    beside: Sequence[Subject],
) -> None:
    """Refuse models that are in two pairs, and one other pair of runs."""
    second = (chosen_by[0].name, chosen_by[1].name)
    if shared := {subject.name, weak.name} & set(second):
        raise MeasurementError(
            f"{second[0]} and {second[1]} as the pair that chooses",
            f"{shared.pop()} is also one of the pair that is scored: chance would choose",
            "Give other seeds of the two, or other rungs.",
        )
    require_once("run", [subject.name, weak.name, *(one.name for pair in runs for one in pair)])
    _require_apart((subject, weak), chosen_by, beside)
    if len(runs) == 1:
        raise MeasurementError(
            "One other run of both models", "two numbers do not say how runs scatter",
            "Give two other pairs of runs or more, or none.",
        )  # fmt: skip


def _require_claims(
    subject: Subject,
    text: Text,
    where: Sequence[Site],
    claimed: Sequence[Explanation],
    named: Sequence[str],
) -> None:
    """Refuse what cannot be claimed of the components, and names that are taken."""
    require_claims(claimed)
    require_once("condition", [*TAKEN, ABLATION, *named, *(e.name for e in claimed)])
    require_standing(claimed, where, subject)
    if any(one.shuffled for one in claimed):
        require_donors(text, within=True)
    if len(where) == 1:
        subject.require_full_precision("The effect of a single component")


def _over(
    ledger: Ledger,
    subject: Subject,
    weak: Subject,
    runs: Sequence[tuple[Subject, Subject]],
    settings: Settings,
) -> OverRuns:
    """The gap over all pairs of runs, under the models' own names."""
    others = [(one.name, two.name) for one, two in runs]
    found = over_pairs(ledger, [(INTACT, weak.name), *others], settings=settings)
    return found.model_copy(update={"pairs": ((subject.name, weak.name), *others)})


def _require_apart(
    scored: tuple[Subject, Subject], chooses: tuple[Subject, Subject], beside: Sequence[Subject]
) -> None:
    """Refuse models of which two are one, whatever they are called."""
    every = (*scored, *chooses, *beside)
    known: dict[str, Subject] = {}
    for one in every:
        other = known.setdefault(one.fingerprint, one)
        if other is not one or [m.name for m in every].count(one.name) > 1:
            raise MeasurementError(
                f"{other.name} and {one.name}",
                "they are one model, or have one name: a gap is between two",
                "Give four models: a strong and a weaker one, and other seeds or rungs to choose.",
            )


def _claims(
    subject: Subject,
    text: Text,
    where: Sequence[Site],
    claimed: Sequence[Explanation],
    seed: int,
    folder: Path | None,
) -> list[Condition]:
    observed = [s for e in claimed for s in sites_to_observe(e, where, subject.shape)]
    observed += [s.component.at("z") if s.part == "H" else s for s in where]
    activations = observe(subject, text, list(dict.fromkeys(observed)), folder=folder)
    mean = ABLATIONS.get(ABLATION).fit(activations, where, seed).condition()
    fitted = [fit(e.at(where), subject.shape, activations, seed).condition() for e in claimed]
    return [mean, *fitted]


def _verdict(spread: Concentration, runs: OverRuns | None, strong: str, weak: str) -> str:
    own, size = _carried(spread.effective), _size(spread.gap)
    if runs is None:
        return (
            f"The gap between {strong} and {weak}, {size}, {own}. Of these two models: how much "
            "other seeds would move it is not known."
        )
    return (
        f"Over {len(runs.pairs)} pairs of runs, other documents and other seeds counted, the gap "
        f"between {strong} and {weak}, {_size(runs.gap)}, {_carried(runs.effective)}; of these two "
        f"models alone, {size}, it {own}."
    )


def _size(gap: Number) -> str:
    if gap.low is None and gap.high is None:
        return f"refused: {gap.refused or FEW}"
    return f"{written(gap, spec='.3f')} nats per token"


def _carried(effective: Number) -> str:
    if effective.low is None and effective.high is None:
        return f"is not told to be spread in any way (refused: {effective.refused or FEW})"
    return (
        f"is as concentrated as if {written(effective, scale=100, spec='.0f', mark='%')} of the "
        "tokens carried all of it evenly"
    )
