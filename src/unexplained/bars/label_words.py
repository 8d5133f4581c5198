"""What was found of a label, in plain words."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from unexplained.bars import detection as d
from unexplained.bars.labelled import REFERENCE
from unexplained.record import format as fmt
from unexplained.shares import percent, untold

if TYPE_CHECKING:
    from unexplained.bars.labels import LabelFindings

SET_OFF = 0.01
"""Of the tokens of a near miss: whoever is active on more for certain is set off by it."""


def verdict(found: LabelFindings) -> str:
    """In plain words."""
    read, narrow, broad = found.narrow.measured, found.narrow, found.texts[-1]
    who = found.sites[0] if len(found.sites) == 1 else f"{len(found.sites)} {found.unit.lower()}s"
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
    cost = read.increase(REFERENCE)
    label, rest = (
        read.recovered(name, REFERENCE)
        for name in (found.names.claim, found.names.kept["residual"])
    )
    if cost.value == 0 and cost.bare:
        told.append(f"Ablating them costs nothing on {narrow.name}.")
    elif why := untold(cost):
        told.append(f"What ablating them costs is refused: {why}.")
    else:
        told.append(f"Ablated together they cost {fmt.show(cost)} nats per token on {narrow.name}.")  # fmt: skip
    if why := untold(label) or untold(rest):
        told.append(f"How much of it the label carries is refused: {why}.")
    else:
        told.append(f"The label's prediction makes up {percent(label)} of it, only the rest of their values {percent(rest)}.")  # fmt: skip
    return " ".join(filter(None, [*told, _judged(found)]))


def _judged(found: LabelFindings) -> str:
    """Which of several are told to be set off by near misses, and of which the label is told to be what they do."""
    if len(found.sites) < 2:
        return ""
    read, names, said = found.narrow.measured, found.names, ""
    off = [
        site for site in found.sites
        for on in found.texts
        if any((d.share(found.detectors[site].fires(on.values[site]), yes, on.tokens, found.settings).low or 0) > SET_OFF
               for yes in on.near.values())
    ]  # fmt: skip
    if any(on.near for on in found.texts):
        said = f"Set off by near misses for certain: {fmt.in_short(list(dict.fromkeys(off))) if off else 'none'}. "
    most = [
        site for site in found.sites
        if (read.recovered(names.claims[site], names.alone[site]).low or 0) > 0.5
    ]  # fmt: skip
    return f"{said}That the label carries more than half of what it does is told of {fmt.in_short(most) if most else 'none'}."


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
