"""What was found of a label, in plain words."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from unexplained.bars import detection as d
from unexplained.bars.labelled import REFERENCE
from unexplained.record import format as fmt
from unexplained.shares import percent, untold

if TYPE_CHECKING:
    from unexplained.bars.labelled import TokensMeasured
    from unexplained.bars.labels import LabelFindings

SET_OFF = 0.01
"""Of the tokens of a near miss: whoever is active on more for certain is set off by it."""


def verdict(found: LabelFindings) -> str:
    """In plain words."""
    read, narrow, broad = found.narrow.measured, found.narrow, found.texts[-1]
    several = len(found.sites) > 1
    who = f"{len(found.sites)} {found.unit.lower()}s" if several else found.sites[0]
    them = "them" if several else "it"
    spans = " and ".join(
        filter(None, map(partial(_span, found), dict.fromkeys((0, len(found.texts) - 1))))
    )
    told = [f"AUROC of {who} for '{found.label}': {spans}."]
    if not spans:
        auroc = found.scores(narrow, found.sites[0], found.detectors[found.sites[0]])[0]
        told = [f"AUROC of {who} for '{found.label}' is refused: {auroc.refused}."]
    if broad is narrow:
        told.append("No broad text was given.")
    elif spans and not _span(found, len(found.texts) - 1):
        auroc = found.scores(broad, found.sites[0], found.detectors[found.sites[0]])[0]
        told.append(f"On {broad.name} that is refused: {auroc.refused}.")
    elif worse := [site for site in found.sites if found.falls(site)]:
        told.append(f"Worse on {broad.name}: {fmt.in_short(worse)}.")
    if lower := [site for site in found.sites if found.detectors[site].sign < 0]:
        told.append(f"Lower where the label says yes, and counted as active when low: {fmt.in_short(lower)}.")  # fmt: skip
    cost = read.increase(REFERENCE)
    label, rest = (
        read.recovered(name, REFERENCE)
        for name in (found.names.claim, found.names.kept["residual"])
    )
    if cost.value == 0 and cost.bare:
        told.append(f"Ablating {them} costs nothing on {narrow.name}.")
    elif why := untold(cost):
        told.append(f"What ablating {them} costs is refused: {why}.")
    else:
        together = "Ablated together they cost" if several else "Ablated it costs"
        told.append(f"{together} {fmt.show(cost)} nats per token on {narrow.name}.")
    if why := untold(label) or untold(rest):
        told.append(f"How much of it the label carries is refused: {why}.")
    else:
        its = "their values" if several else "its value"
        told.append(f"The label's prediction makes up {percent(label)} of it, only the rest of {its} {percent(rest)}.")  # fmt: skip
    return " ".join([*told, *_near(found), *([_carried(found)] if several else [])])


def _near(found: LabelFindings) -> list[str]:
    """Which are told to be set off by near misses, and of which near misses there is no token."""
    every = {name for on in found.texts for name in on.near}
    seen = {name for on in found.texts for name in on.near if on.missed(name).any()}
    off = [
        site
        for site in found.sites
        if any(_set_off(found, on, name, site) for on in found.texts for name in on.near)
    ]
    said = []
    if seen:
        told = fmt.in_short(off) if off else "none"
        said.append(f"Set off by near misses for certain: {told}.")
    if unseen := sorted(every - seen):
        which = ", ".join(f"'{name}'" for name in unseen)
        said.append(
            f"What {which} sets off is not told: no text has a token of it to which the label says no."
        )
    return said


def _set_off(found: LabelFindings, on: TokensMeasured, name: str, site: str) -> bool:
    fires = found.detectors[site].fires(on.values[site])
    return (d.share(fires, on.missed(name), on.tokens, found.settings).low or 0) > SET_OFF


def _carried(found: LabelFindings) -> str:
    """Of which of several the label is told to be what they do."""
    read, names = found.narrow.measured, found.names
    most = [
        site for site in found.sites
        if (read.recovered(names.claims[site], names.alone[site]).low or 0) > 0.5
    ]  # fmt: skip
    return f"That the label carries more than half of what it does is told of {fmt.in_short(most) if most else 'none'}."


def _span(found: LabelFindings, number: int) -> str:
    """Between which AUROCs the neurons tell the label on a text; empty where that is refused."""
    on = found.texts[number]
    scored = [found.scores(on, site, found.detectors[site])[0] for site in found.sites]
    known = [one for one in scored if one.value is not None]
    if not known:
        return ""
    low, high = (f(known, key=lambda one: one.value or 0.0) for f in (min, max))
    same = low.value == high.value
    return f"{fmt.show(low) if same else f'{fmt.show(low).value} to {fmt.show(high).value}'} on {on.name}"
