"""`sweep`: every component of a set ablated alone, and the strongest together.

The components that are looked at together are chosen on one half of the documents and measured
on the other: the strongest of many look stronger than they are on the documents that chose them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.stats import false_discovery_control

from unexplained.ablations import ABLATIONS, Ablation, value_site
from unexplained.assays.provenance import found_again
from unexplained.bars import increase, kl, loss
from unexplained.bars.paired import paired
from unexplained.bars.recovered import INTACT
from unexplained.errors import TextError
from unexplained.evaluate import Activations, Condition, evaluate, observe
from unexplained.ledger import ALL, Ledger
from unexplained.record import Effect, Joint, SweepRecord
from unexplained.sites import Site
from unexplained.stats import Settings, difference_per_token, p_value, written
from unexplained.subject import Subject
from unexplained.text import Text

RATE = 0.05
"""False discovery rate at which a component is told from zero."""

FLOOR = 1e-5
"""Nats per token below which a change in loss is rounding of float32 logits, however regular: a
component that nothing reads still moves a norm's scale in its last digits."""

TOGETHER = (2, 3, 5, 10)
"""How many of the strongest are ablated together."""

FEWEST = 10
"""Documents that a sweep needs: five to choose on, five to report on."""


def sweep(
    subject: Subject,
    sites: str,
    text: Text,
    *,
    ablation: str = "mean",
    pairs: int = 5,
    settings: Settings = Settings(),  # noqa: B008  (frozen)
    folder: Path | None = None,
    say: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> SweepRecord:
    """Ablate every component alone, correct for their number, and ablate the strongest together.

    Effects of single components are exact and complete: all are reported, so nothing is selected,
    and p-values are corrected for their number (Benjamini and Hochberg 1995; under dependence
    like this, of documents shared by all, the rate is held approximately). A component that looks
    harmless alone may have stand-ins: see `joints`. Changes below `FLOOR` count as no effect.

    Args:
        subject: The model.
        sites: The components, for example `L*.H*`, `L*.mlp` or `L5.N*`.
        text: Where to measure; fills are fitted on its fit part.
        ablation: What stands in their place.
        pairs: For how many of the strongest every pair is ablated too.
        settings: Level, resamples and seed.
        folder: What is finished is kept here and found again.
        say: Told about progress.

    Raises:
        SiteError: A component does not exist.
        TextError: The text has too few documents to choose on one half and report on the other.
        MeasurementError: A loss is not finite, or what is finished cannot be kept.
    """
    started = time.perf_counter()
    where, kind = subject.sites(sites), ABLATIONS.get(ablation)
    half = len(text.eval) // 2
    if len(text.eval) < FEWEST:
        raise TextError(
            f"A sweep over {len(text.eval)} documents",
            "the strongest components are chosen on one half and reported on the other",
            f"Use at least {FEWEST} documents.",
        )
    recorded = observe(
        subject, text, [value_site(site) for site in where],
        progress=lambda done, total: say(f"reading the fit part of {text.name}", done, total),
    )  # fmt: skip

    def measured(part: Text, groups: Sequence[tuple[Site, ...]], what: str) -> Ledger:
        conditions = [_condition(kind, recorded, group, settings.seed) for group in groups]
        return evaluate(
            subject, part, conditions, folder=folder,
            progress=lambda done, total: say(what, done, total),
        )  # fmt: skip

    singles = [(site,) for site in where]
    choosing, reporting = text.first(half), text.rest(half)
    first = measured(choosing, singles, f"ablating each on the first half of {text.name}")
    second = measured(reporting, singles, f"ablating each on the second half of {text.name}")
    strongest = _strongest(first, where)
    sets = [tuple(strongest[:count]) for count in TOGETHER if count <= len(where)]
    couples = list(combinations(strongest[:pairs], 2))
    groups = list(dict.fromkeys([*sets, *couples]))
    together = measured(reporting, groups, "ablating the strongest together")
    both = Ledger.concat([second, together.only([_name(group) for group in groups])])
    whole = Ledger.concat([first, second])
    effects = _effects(whole, where, settings)
    joints = {group: _joint(both, group, settings) for group in groups}
    return SweepRecord(
        title=f"{ablation[:1].upper()}{ablation[1:]} ablation of {sites} in {subject.name}",
        verdict=_verdict(effects, ablation, text.name, settings),
        ablation=ablation,
        text=text.name,
        text_fingerprint=text.fingerprint,
        documents=len(text.eval),
        tokens=text.predicted,
        fit_documents=len(text.fit),
        loss=loss(whole, INTACT, settings=settings),
        effects=effects,
        rate=RATE,
        chosen_on=half,
        reported_on=len(text.eval) - half,
        joints=tuple(joints[group] for group in sets),
        pairs=tuple(joints[group] for group in couples),
        **found_again(subject, settings, started),
    )


def _name(group: Sequence[Site]) -> str:
    return " ".join(map(str, group))


def _condition(
    kind: Ablation, recorded: Activations, group: tuple[Site, ...], seed: int
) -> Condition:
    return kind.fit(recorded, group, seed).condition(_name(group))


def _strongest(ledger: Ledger, sites: Sequence[Site]) -> list[Site]:
    """By the size of the change in loss, either way, greatest first."""
    base = ledger.sums(INTACT).loss.sum()
    change = {site: abs(ledger.sums(str(site)).loss.sum() - base) for site in sites}
    return sorted(sites, key=lambda site: (-change[site], site))


def _effects(ledger: Ledger, sites: Sequence[Site], settings: Settings) -> tuple[Effect, ...]:
    p = np.array([_p(ledger, str(site)) for site in sites])
    q = false_discovery_control(p)
    return tuple(
        Effect(
            site=str(site),
            increase=increase(ledger, str(site), settings=settings),
            kl=kl(ledger, str(site), settings=settings),
            p=float(p[i]),
            q=float(q[i]),
        )
        for i, site in enumerate(sites)
    )


def _p(ledger: Ledger, name: str) -> float:
    read = paired(ledger, "loss", (name, INTACT), ALL)
    change = read.columns[0] - read.columns[1]
    if abs(change.sum()) < FLOOR * read.tokens.sum():
        return 1.0
    return p_value(change, read.tokens)


def _joint(ledger: Ledger, group: Sequence[Site], settings: Settings) -> Joint:
    names = (_name(group), INTACT, *map(str, group))
    read = paired(ledger, "loss", names, ALL)
    joint, intact, *singles = read.columns
    summed = sum(single - intact for single in singles)
    assert isinstance(summed, np.ndarray)
    return Joint(
        sites=tuple(map(str, group)),
        together=difference_per_token(joint, intact, read.tokens, settings=settings),
        summed=difference_per_token(summed, summed * 0, read.tokens, settings=settings),
        interaction=difference_per_token(joint - intact, summed, read.tokens, settings=settings),
    )


def _verdict(effects: Sequence[Effect], ablation: str, text: str, settings: Settings) -> str:
    told = [effect for effect in effects if effect.q < RATE]
    hurt = sum((effect.increase.value or 0) > 0 for effect in told)
    worst = max(effects, key=lambda effect: abs(effect.increase.value or 0))
    return (
        f"On {text}, {ablation} ablation of {len(told)} of {len(effects)} components is told from "
        f"no effect at a false discovery rate of {RATE:.0%}: {hurt} raise the loss and "
        f"{len(told) - hurt} lower it. The largest effect is that of {worst.site}: "
        f"{written(worst.increase, spec='.2g')} nats per token."
    )
