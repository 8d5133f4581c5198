"""`soundness`: is it the ablation? The same components under a panel of ablations, norms free and held (MISSION 18).

Neel Nanda: "any ablation is throwing the model off distribution a bit. Eg mean ablation will mess with
the LayerNorm scale, resample ablation may introduce info that's weird". Here each is measured: what
every ablation costs, how far it takes the stream, what is left where the norms' scales are held, and
whether what is concluded (which component matters more, where a claim holds better) turns round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from unexplained import study
from unexplained.bars.cards import claimed_of
from unexplained.record import format as fmt
from unexplained.record.blocks import Block
from unexplained.study import Claims, Headline, Option, Texts, instrument
from unexplained.study.given import Unpriced

if TYPE_CHECKING:
    from unexplained.bars.flips import Flip
    from unexplained.bars.panel import Panel
    from unexplained.explanations import Explanation
    from unexplained.sites import Site
    from unexplained.study import Arm, Run

PANEL = ("zero", "mean", "position mean", "resample", "optimal constant", "matched noise")
FEW = 8
"""Documents on which drift and the noise floor are measured."""
DOUBLE = 2e9
"""Bytes of weights in float64, up to which the same is measured in it."""
MOST = 8
"""Components that are measured one by one, at most: the answer names each."""


@instrument(
    "soundness",
    precise="A panel of ablations",
    texts=Texts(documents=48, fit_documents=48),
    unpriced=Unpriced(
        "it compares ablations of the same components with each other, and a difference of two "
        "losses is worth no compute of its own"
    ),
)
def soundness(
    run: Run,
    sites: Annotated[str, Option('Components, e.g. "L18.H6 L17.H3-5".')],
    *,
    explanations: Annotated[
        Sequence[Explanation] | None,
        Claims(
            "A library name, my.py or my.py:name: what it recovers under every ablation.",
            option="--explanation",
            early=True,
        ),
    ] = None,
) -> Iterator[Block | Headline]:
    """Is it the ablation? The same components under six ablations, the norms free and held.

    Zero, mean, position mean, resample, the optimal constant (Li and Janson 2024) and matched noise,
    each component alone and all together. The first position is kept under all of them. With the
    norms held every norm keeps the scale that it has in the intact model, in the explained and the
    ablated model alike; held scales still carry a little of what was taken out.

    Args:
        run: The model and running text; ablations are fitted on its fit part.
        sites: The components, at most eight.
        explanations: What is claimed of them; none if not given.

    Raises:
        SiteError: A component does not exist.
        AblationError: An ablation cannot be fitted: too few documents for a covariance, say.
        MeasurementError: The model is in half precision, there are too many components, or a number
            is not finite.
        UnexplainedError: As `require_standing`, where an explanation cannot stand at a component.
    """
    where = _asked(run, sites, explanations or ())
    groups: list[Sequence[Site]] = [(site,) for site in where]
    groups += [where] if len(where) > 1 else []
    made = {kind: study.arms.panel(run, kind, groups) for kind in PANEL}
    panel = _measured(run, groups, made, explanations or ())
    together = {kind: every[-1] for kind, every in made.items()}
    moved = _drift(run, together)
    floor = _floor(run, list(together.values()))
    double = _in_double(run, list(together.values()))
    flips = _flips(panel)
    yield Headline(
        f"{fmt.in_short(list(panel.single))} in {run.subject.name} under {len(PANEL)} ablations",
        panel.verdict(flips, max(floor, double) if isinstance(double, float) else floor),
        {"Sites": ", ".join(panel.single), "Ablations": ", ".join(PANEL)},
    )
    yield panel.answer(claimed_of((one.name, one.says) for one in explanations or ()))
    yield panel.facts(run.subject.name, run.text.name, floor, double)
    yield panel.damage()
    yield panel.optimal()
    yield panel.flips(flips)
    if panel.claimed:
        yield panel.claims()
    yield panel.drift(moved, run.settings)


def _asked(run: Run, sites: str, claims: Sequence[Explanation]) -> tuple[Site, ...]:
    """Refuse what cannot be measured, before anything is run."""
    from unexplained.errors import MeasurementError

    asked, subject, text = study.asked, run.subject, run.text
    where = asked.components(subject, sites)
    if len(where) > MOST:
        raise MeasurementError(
            f"A panel of ablations at {len(where)} components",
            f"each takes two dozen conditions; at most {MOST} are taken",
            "Name fewer, or sweep them all: unexplained sweep MODEL.",
        )
    asked.require_claims(claims)
    asked.require_standing(claims, where, subject)
    asked.require_tokens(subject, text, "eval", "fit")
    asked.require_donors(text, within=bool(claims))
    for name in PANEL:
        asked.require_fill(name, where, text)
    asked.require_covariances(where, text, subject)
    asked.require_folder(run.folder, subject)
    return where


def _measured(
    run: Run,
    groups: Sequence[Sequence[Site]],
    made: Mapping[str, Sequence[Arm]],
    claims: Sequence[Explanation],
) -> Panel:
    """Every ablation of every component and of all, and the claims there."""
    from unexplained.bars.joints import name_of
    from unexplained.bars.panel import HELD, Panel
    from unexplained.study import arms

    where, names = groups[-1], tuple(map(name_of, groups))
    single = tuple(map(str, where))
    every = [one.also(HELD) for some in made.values() for one in some]
    ablated = {
        kind: {name: one.name for name, one in zip(names, some, strict=True)}
        for kind, some in made.items()
    }
    claimed: dict[str, dict[str, str]] = {one.name: {} for one in claims}
    filled: dict[str, dict[str, str]] = {}
    if claims:
        # What controls are held against is the ablation as it stands in every other instrument.
        every += [arms.ablation(run, "mean", where)]
        every += arms.claims(run, where, claims)
        # Beside the ablations of the panel a claim leaves the first position alone, as they do.
        at: list[tuple[str, Sequence[Site]]] = [(names[-1], where)]
        at += zip(names, [[site] for site in where], strict=False) if len(where) > 1 else []
        stated: dict[str, Arm] = {}
        for name, some in at:
            for one in arms.claims(run, some, claims, first_kept=True):
                named = one.called(f"{one.name} at {name}", of=claims[0].name)
                every.append(named.also(HELD))
                claimed[one.name][name] = named.name
                if name == names[-1]:
                    stated[one.name] = named
        if len(claims) > 1:
            filled, put = _filled(run, where, claims, stated)
            every += put
    return Panel(run.measure(*every), ablated, claimed, names, single, filled)


def _filled(
    run: Run, where: Sequence[Site], claims: Sequence[Explanation], stated: Mapping[str, Arm]
) -> tuple[dict[str, dict[str, str]], list[Arm]]:
    """Explanations of the same components with what each leaves out filled by an ablation: by arm.

    Without that no ablation could turn their order round: it changes the denominator of both alike.
    """
    from unexplained.bars.panel import HELD
    from unexplained.evaluate import Edited
    from unexplained.repairs.noise import sites_of
    from unexplained.study import arms

    conditions = [one.conditions["total"] for one in stated.values()]
    needed = [site for one in claims for site in one.observes(where, run.subject.shape)]
    seen = run.observe([*needed, *sites_of([one for one in conditions if isinstance(one, Edited)])])
    filled: dict[str, dict[str, str]] = {}
    every: list[Arm] = []
    for name, one in stated.items():
        for kind, put in arms.outside(run, one, PANEL[1:], seen).items():
            filled.setdefault(kind, {})[name] = put.name
            if put is not one:
                every.append(put.also(HELD))
    return filled, every


def _drift(run: Run, made: Mapping[str, Arm]) -> dict[str, Any]:
    """How far every ablation of all components takes the stream, on a few documents."""
    from functools import partial

    from unexplained.evaluate import Edited
    from unexplained.evaluate.drift import drift

    few = run.text.first(FEW)
    conditions = [one.conditions["total"] for one in made.values()]
    found = drift(
        run.subject, few, [one for one in conditions if isinstance(one, Edited)], folder=run.folder,
        workers=run.workers, progress=partial(run.say, "drift of the stream"),
    )  # fmt: skip
    return {kind: found[one.conditions["total"].name] for kind, one in made.items()}


def _floor(run: Run, made: Sequence[Arm]) -> float:
    """The most that a damage moves where the same is computed in batches of another size."""
    from unexplained.evaluate.evaluate import BATCH_TOKENS

    few = run.on(run.text.first(FEW))
    one, other = (
        few.measure(*made, batch_tokens=tokens, what="the noise floor")
        for tokens in (BATCH_TOKENS, BATCH_TOKENS // 8)
    )
    return max(
        abs((one.damage(arm.name).value or 0.0) - (other.damage(arm.name).value or 0.0))
        for arm in made
    )


def _in_double(run: Run, made: Sequence[Arm]) -> float | str:
    """The most that a damage differs where model and edits are in float64; why that is not measured."""
    from dataclasses import replace

    from unexplained.evaluate import Edited

    subject = run.subject
    size = 8 * sum(weight.numel() for weight in subject.anatomy.model.parameters())
    if size > DOUBLE:
        return f"not measured: in float64 the weights take {size / 1e9:.1f} GB, more than {DOUBLE / 1e9:.0f}"
    if subject.device.type == "mps":
        return "not measured: this device has no float64"
    few = run.on(run.text.first(FEW))
    own = few.measure(*made, what="the noise floor")
    edits = {
        one.name: {
            # What was fitted to the model stands in the same weights.
            effect: replace(condition, fitted_on="") if isinstance(condition, Edited) else condition
            for effect, condition in one.conditions.items()
        }
        for one in made
    }
    arms = [replace(one, conditions=edits[one.name]) for one in made]
    wide = few.of(subject.in_double()).measure(*arms, what="the noise floor")
    return max(
        abs((own.damage(one.name).value or 0.0) - (wide.damage(one.name).value or 0.0))
        for one in made
    )


def _flips(panel: Panel) -> dict[str, list[Flip]]:
    """Components by damage and by what every claim recovers there; explanations of all of them by loss."""
    from unexplained.bars.flips import turned

    several = len(panel.single) > 1
    ablated: dict[str, Mapping[str, str]] = {}
    filled: dict[str, Mapping[str, str]] = {}
    for held in (False, True):
        suffix = ", norms held" if held else ""
        if several:
            ablated |= {f"{k}{suffix}": c for k, c in panel.conditions(held=held).items()}
        filled |= {f"{k}{suffix}": c for k, c in panel.fills(held=held).items()}
    claimed = {
        claim: {
            kind: {s: panel.under(arms[s], kind.endswith("norms held")) for s in panel.single}
            for kind in ablated
        }
        for claim, arms in (panel.claimed if several else {}).items()
    }
    return turned(panel.read.ledger, ablated, claimed, filled, panel.read.settings)
