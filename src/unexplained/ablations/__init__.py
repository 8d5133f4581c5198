"""What stands in a site's place when nothing is claimed of it.

An ablation is fitted on the fit part and gives a frozen `Fill`. One file each; a new file here is
found by itself and comes under the law tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from unexplained.errors import UnexplainedError
from unexplained.evaluate import Activations, Edited, observe
from unexplained.evaluate.runner import Workers, in_process
from unexplained.progress import Count
from unexplained.registry import Registry
from unexplained.sites import Site
from unexplained.subject import Edit, Subject
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


def value_site(site: Site) -> Site:
    """The site whose value an ablation replaces: a head's z, else the site itself."""
    return site.at("z") if site.part == "H" and not site.value else site
