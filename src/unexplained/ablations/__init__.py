"""What stands in a site's place when nothing is claimed of it.

An ablation is fitted on the fit part and gives a frozen `Fill`. One file each; a new file here is
found by itself and comes under the law tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from unexplained.errors import UnexplainedError
from unexplained.evaluate import Activations, Edited, observe
from unexplained.evaluate.runner import Workers, in_process
from unexplained.progress import Count
from unexplained.registry import Registry
from unexplained.sites import Site
from unexplained.subject import Edit, Local, Subject
from unexplained.text import Text


class AblationError(UnexplainedError):
    """An ablation that does not exist or cannot be fitted."""


@dataclass(frozen=True)
class Fill:
    """A fitted ablation of some sites."""

    name: str
    edits: tuple[Edit, ...]
    fingerprint: str
    parameters: int
    """How many fitted numbers it holds."""
    after_prefix: bool = False
    """It is the identity where the two prompts of a pair are still the same."""
    fitted_on: str = ""
    """`Activations.model`; empty where it takes nothing from any model."""

    def condition(self, name: str | None = None) -> Edited:
        """The model with the sites so ablated."""
        return Edited(
            name or self.name, self.edits, self.fingerprint, after_prefix=self.after_prefix,
            fitted_on=self.fitted_on,
        )  # fmt: skip


class Ablation(Protocol):
    """Fits a fill for some sites."""

    @property
    def says(self) -> str:
        """What it puts there, in a sentence."""

    @property
    def fits_on(self) -> Literal["fit", "corrupted"]:
        """What it is fitted on: a text's fit part, or its corrupted prompts."""

    def fit(self, activations: Activations, sites: Sequence[Site], seed: int) -> Fill:
        """Fit on the intact model's activations there."""


class StandingClaim(NamedTuple):
    """What stands at some sites already, where only what it leaves out of them is ablated."""

    claim: Edited
    left: Activations
    """What the model has there less what stands there."""


@runtime_checkable
class Tuned(Protocol):
    """An ablation that asks the model itself what to put there: it is fitted by `tune`, not by `fit`."""

    def tune(
        self, subject: Subject, text: Text, groups: Sequence[Sequence[Site]], seed: int, *,
        beside: StandingClaim | None = None, folder: Path | None = None, workers: Workers = in_process,
        progress: Count = lambda done, total: None,
    ) -> list[Fill]:  # fmt: skip
        """Fit by passes on the fit part, each group alone; what it finds is kept in the folder, if there is one.

        With `beside` it is what is put there besides what stands there, at the one group of its sites.
        """


def plain(ablation: Ablation) -> bool:
    """Whether any instrument may show it beside others: one reading of the fit part is enough.

    An ablation that takes more, the model's gradients or documents enough for a covariance, says
    so by `asks_much`.
    """
    return ablation.fits_on == "fit" and not getattr(ablation, "asks_much", False)


ABLATIONS: Registry[Ablation] = Registry("ablation", __name__, AblationError)


def record_for(
    ablation: Ablation,
    subject: Subject,
    text: Text,
    sites: Sequence[Site],
    progress: Count = lambda done, total: None,
    *,
    folder: Path | None = None,
    workers: Workers = in_process,
) -> Activations:
    """Run the model where an ablation is fitted and keep the values at some sites.

    What is read is kept in the folder, if there is one, and found again (`observe`).

    Raises:
        TextError: It is fitted on corrupted prompts and the text has none.
    """
    values = [value_site(site) for site in sites]
    corrupted = ablation.fits_on == "corrupted"
    return observe(
        subject, text.swapped() if corrupted else text, values, part="eval" if corrupted else "fit",
        folder=folder, workers=workers, progress=progress,
    )  # fmt: skip


def fitted(
    ablation: Ablation,
    subject: Subject,
    text: Text,
    groups: Sequence[Sequence[Site]],
    seed: int,
    *,
    read: Callable[[Sequence[Site]], Activations] | None = None,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> list[Fill]:
    """An ablation of each group of sites, whatever it is fitted on.

    Args:
        ablation: Which.
        subject: The model.
        text: On whose fit part, or corrupted prompts, it is fitted.
        groups: Sites that are ablated together.
        seed: Of draws.
        read: Reads values of the model; `record_for` if None.
        folder: What is read or found is kept here, if there is one.
        workers: Who does the work: this process, or those of a cluster.
        progress: Told (done, in all) of what takes long.

    Raises:
        AblationError: It cannot be fitted there.
    """
    if isinstance(ablation, Tuned):
        return ablation.tune(
            subject, text, groups, seed, folder=folder, workers=workers, progress=progress
        )
    sites = [site for group in groups for site in group]
    found = (
        record_for(ablation, subject, text, sites, progress, folder=folder, workers=workers)
        if read is None
        else read([value_site(site) for site in sites])
    )
    return [ablation.fit(found, group, seed) for group in groups]


REPLACES_FIRST = ("zero", "mean", "position mean")
"""Ablations that replace the first position too; the others keep it by themselves."""


def where_first_is_kept(name: str, activations: Activations) -> Activations:
    """Values that an ablation is fitted to where it leaves the first position: means are over what is replaced."""
    return without_first(activations) if name in REPLACES_FIRST else activations


def without_first(activations: Activations) -> Activations:
    """Values without those at the first position, which is kept (`keeping_first`).

    What attention rests on there is nearly the same in every document and unlike all else: in a
    mean or a covariance it would be noise.
    """
    masked = []
    for batch, values in activations.batches:
        valid = batch.valid.clone()
        valid[:, 0] = False
        masked.append((replace(batch, valid=valid), values))
    return replace(activations, batches=tuple(masked))


def keeping_first(edit: Edit) -> Edit:
    """The edit with the first position left as the model has it."""
    new = edit.function

    def function(local: Local) -> Tensor | None:
        put = new(local)
        if put is None or local.batch.start:
            return put
        return torch.cat([local.value[:, :1], put[:, 1:]], 1)

    return replace(edit, function=function, calls=(*edit.calls, new))


def value_site(site: Site) -> Site:
    """The site whose value an ablation replaces: a head's z, else the site itself."""
    return site.at("z") if site.part == "H" and not site.value else site
