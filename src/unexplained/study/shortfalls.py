"""What a shortfall measures: the claim, its repairs, its refits, and what stands beside each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from unexplained import bars
from unexplained.bars.reading import Reading
from unexplained.bars.shortfall import Shortfall
from unexplained.bars.splits import DAMAGED, After, Mended, ShortfallFindings, too_weak
from unexplained.errors import MeasurementError, NotFinite, TextError
from unexplained.evaluate import Edited
from unexplained.evaluate.conditions import EffectKind
from unexplained.explanations import LIBRARY
from unexplained.explanations.stand_in import StandIn
from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.repairs.schedule import RefitSettings, first_later, require_passes
from unexplained.sites import ADDS, Site
from unexplained.study import arms, asked
from unexplained.study.arm import Arm
from unexplained.study.arms.refits import CLAIM, INTACT, NOTHING, SAYS
from unexplained.study.arms.repaired import Repair
from unexplained.study.run import Run
from unexplained.study.steps import followed, require_steps
from unexplained.study.twins import TWIN, few

DIRECT: EffectKind = "direct, norm frozen"
"""By which what the components write is held against what is claimed: squared distances on the intact pass."""
REFERENCE = "mean"
"""The ablation that says nothing."""
LEAST_DAMAGE = 0.05
"""Nats per token of the damage that a refit's strength is tried by, at least."""


@dataclass(frozen=True)
class RefitQuestion:
    """A claim about some components, and how it is refitted; refused before anything is run."""

    run: Run
    sites: tuple[Site, ...]
    claim: StandIn
    how: RefitSettings
    refits: int
    first: int
    """The first layer that is refitted."""

    @classmethod
    def of(
        cls,
        run: Run,
        sites: str,
        claim: Sequence[StandIn] | None,
        *,
        steps: int,
        rate: float,
        refits: int,
    ) -> RefitQuestion:
        """Check what was asked for.

        Raises:
            MeasurementError: There are several claims, the model is in half precision, or no layer
                comes after the components.
            TextError: The text is one of pairs, of another model's tokens, or too small.
            UnexplainedError: The claim cannot stand there.
        """
        claims = [LIBRARY.get("strict_induction")] if claim is None else list(claim)
        if len(claims) != 1:
            raise MeasurementError(
                f"A shortfall of {len(claims)} claims", "it takes one at a time",
                "Give one explanation.",
            )  # fmt: skip
        subject, text = run.subject, run.text
        asked.require_claims(claims)
        where = asked.components(subject, sites)
        asked.require_standing([*claims, claims[0].on_shuffled()], where, subject)
        asked.require_tokens(subject, text, "eval", "fit")
        if text.pairs:
            raise TextError(
                f"A shortfall on {text.name}", "it is pairs of prompts, and a refit learns running text",
                "Use webmix or a file of running text.",
            )  # fmt: skip
        require_steps(subject, claims[0], where)
        require_passes(text, steps)
        asked.require_donors(text, within=True)
        asked.require_covariances(where, text, subject)
        asked.require_folder(run.folder, subject)
        first = first_later(subject, [site.layer for site in where])
        how = RefitSettings.for_model(subject, first, steps)
        how = replace(how, rate=rate) if rate else how
        return cls(run, where, claims[0], how, refits, first)

    @property
    def where(self) -> str:
        """The components, in short."""
        return fmt.in_short(list(map(str, self.sites)))


def measured(of: RefitQuestion) -> ShortfallFindings:
    """Measure the claim and its repairs without training, then refits.

    Raises:
        UnexplainedError: As `Run.measure`, `tried_refit`, `refits` and `repaired`.
    """
    run, sites = of.run, of.sites
    # What is no part of a sum has no direct effect.
    adds = (DIRECT,) if all(site.part in ADDS for site in sites) else ()
    (claimed,) = (one.also(*adds) for one in arms.claims(run, sites, [of.claim]))
    nothing = arms.ablation(run, REFERENCE, sites).also(*adds)
    condition, silent = claimed.conditions["total"], nothing.conditions["total"]
    assert isinstance(condition, Edited) and isinstance(silent, Edited)
    repairs = arms.repaired(run, sites, of.claim, condition, nothing)
    read, broken = _finite(run, (nothing, claimed), repairs)
    own = None
    if adds:
        written = (one.conditions[DIRECT].name for one in (claimed, nothing))
        own = bars.variance_explained(read.ledger, *written, settings=run.settings)
    mended = [
        Mended("claim", "as claimed", of.claim.says, read.recovered(claimed.name, REFERENCE)),
        *(_mended(read, one, broken) for one in repairs),
        *_on_twin(of),
    ]
    findings = partial(
        ShortfallFindings, mended=tuple(mended), own=own, followed=followed(run, of.claim, sites)
    )

    def split(refits: Mapping[str, tuple[str, ...]], unsplit: str = "") -> Shortfall:
        return bars.shortfall(
            read.ledger, claimed.name, REFERENCE, refits, settings=run.settings, unsplit=unsplit
        )

    # Refits take nearly all of the time: none is made that could not say anything.
    why = bars.unsplit(read.ledger, claimed.name, REFERENCE, settings=run.settings)
    if why and not run.imagined:
        return findings(split=split({}, why), unsplit=why)
    damage = max(read.damage(REFERENCE).value or 0.0, LEAST_DAMAGE)
    tried = arms.tried_refit(run, sites, how=of.how, damage=damage)
    strength = bars.strength(tried.damaged, tried.intact.looks)
    findings = partial(findings, strength=strength, steps=tried.intact.steps)
    why = too_weak(strength)
    if why and not run.imagined:
        looks = {INTACT: tried.intact.looks, DAMAGED: tried.damaged}
        return findings(split=split({}, why), unsplit=why, looks=looks)
    made = arms.refits(run, sites, of.claim, condition, silent, tried, seeds=of.refits)
    read = read.and_arms(run.measure(*made.arms, what="measuring what was refitted"))
    bounded = (INTACT, NOTHING, CLAIM)
    starred = bars.of_refitted(read.ledger, made.names, settings=run.settings)
    plain = {INTACT: "intact", NOTHING: REFERENCE, CLAIM: claimed.name}
    return findings(
        split=split({what: made.names[what] for what in bounded}),
        after=tuple(
            After(what, SAYS[what], read.loss(plain.get(what, made.plain[what])), *starred[what],
                  made.stopped[what])
            for what in made.names
        ),
        looks={what: looks.mean(0) for what, looks in made.looks.items()} | {DAMAGED: tried.damaged},
    )  # fmt: skip


def _finite(
    run: Run, always: Sequence[Arm], repairs: Sequence[Repair]
) -> tuple[Reading, dict[str, str]]:
    """What was measured, and why each arm of a repair was not that has no finite loss.

    With norms held nothing bounds a stream that grows: over a deep rest what is wrong may grow beyond
    all numbers. That is a finding about the repair, and no reason to give up all else.
    """
    left = [one for r in repairs for one in (r.mended, r.control, r.against) if one]
    broken = dict[str, str]()
    while True:
        try:
            return run.measure(*always, *left, what="measuring the claim and its repairs"), broken
        except NotFinite as error:
            found = {
                arm.name: why.replace("it is", "with it the loss is")
                for name, why in error.conditions.items()
                for arm in left
                if name in [condition.name for condition in arm.conditions.values()]
            }
            if not found:  # the claim itself, or a control of its own
                raise
            broken |= found
            left = [one for one in left if one.name not in broken]


def _mended(read: Reading, one: Repair, broken: Mapping[str, str]) -> Mended:
    def kept(mended: Arm) -> Number:
        why = broken.get(mended.name) or broken.get(one.against.name)
        return (
            Number(value=None, unit="share", refused=why)
            if why
            else read.recovered(mended.name, one.against.name)
        )

    return Mended(
        one.key, one.name, one.says, kept(one.mended), kept(one.control) if one.control else None,
        one.wrong,
    )  # fmt: skip


def _on_twin(of: RefitQuestion) -> list[Mended]:
    """The claim through an affine map in a model with random weights; none where it has no map."""
    mapped, run = of.claim.with_map(), of.run
    if mapped is None:
        return []
    with run.timed(TWIN):
        there = run.of(run.subject.twin(run.settings.seed)).on(few(run.text))
        (claim,) = arms.claims(there, of.sites, [mapped], controls=())
        one = claim.called(f"{mapped.name} on the random-weight twin", role="twin")
        read = there.measure(one, arms.ablation(there, REFERENCE, of.sites), what=one.name)
        kept = read.recovered(one.name, REFERENCE)
    return [
        Mended(
            "map-twin",
            "an affine map, random weights",
            "The same in a model that learned nothing.",
            kept,
        )
    ]
