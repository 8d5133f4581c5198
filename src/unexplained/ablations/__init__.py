"""What stands in a site's place when nothing is claimed of it.

An ablation is fitted on the fit part and gives a frozen `Fill`. One file each; a new file here is
found by itself and comes under the law tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from unexplained.errors import UnexplainedError
from unexplained.evaluate import Activations, Edited
from unexplained.registry import Registry
from unexplained.sites import Site
from unexplained.subject import Edit


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

    def condition(self, name: str | None = None) -> Edited:
        """The model with the sites so ablated."""
        return Edited(name or self.name, self.edits, self.fingerprint)


class Ablation(Protocol):
    """Fits a fill for some sites."""

    @property
    def says(self) -> str:
        """What it puts there, in a sentence."""

    def fit(self, activations: Activations, sites: Sequence[Site], seed: int) -> Fill:
        """Fit on the intact model's activations on the fit part."""


ABLATIONS: Registry[Ablation] = Registry("ablation", __name__, AblationError)


def value_site(site: Site) -> Site:
    """The site whose value an ablation replaces: a head's z, else the site itself."""
    return site.at("z") if site.part == "H" and not site.value else site
