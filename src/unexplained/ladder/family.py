"""A family of models as the axis that losses are placed on: the ladder that ships, or the user's own.

Whatever is asked of weaker models (which stand beside a model, which are runs of one rung, what is
known of their compute) is asked of a family. The ladder is the one that is taken where none is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from unexplained.curves.points import FEWEST_RUNGS
from unexplained.errors import CurveError
from unexplained.evaluate import AnotherModel, Other
from unexplained.files import read_json
from unexplained.ladder.catalogue import catalogue
from unexplained.ladder.conditions import on_ladder, require_unseen, trained_as
from unexplained.ladder.members import FamilyRun, Member, member_of, require_computes, runs_of
from unexplained.opening import NOW, opening
from unexplained.record.format import power
from unexplained.subject import Subject, load
from unexplained.text import Text

BY_BYTE = "by-byte"
"""Among the names of a family: how its losses are compared."""


@dataclass(frozen=True)
class Family:
    """Models with what their training took, where that is known."""

    members: tuple[Member, ...]
    """Those of equal compute are runs of one rung, which differ by their seed."""
    by_byte: bool = False
    """Losses are held against each other in bits per byte of the same characters, whatever the
    tokenizers; so they are anyway where some member's is not the model's own."""
    itself: str = ""
    """The member that is the model under study."""
    beside: tuple[Member, ...] = ()
    """What is measured beside it and is no run of a rung: checkpoints, shorter runs."""
    shipped: bool = False
    """It is the ladder, of which more is known than what is measured here."""

    @cached_property
    def runs(self) -> tuple[FamilyRun, ...]:
        """The members of known compute, as runs of rungs."""
        return runs_of(self.members)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Those whose compute is not known."""
        return tuple(one.name for one in self.members if one.compute is None)

    @property
    def compared(self) -> list[str]:
        """Weaker models to set bars with: of a rung its first run."""
        firsts = [one.name for one in self.runs if not one.seed]
        return [name for name in (*firsts, *self.unknown) if name != self.itself]

    def runs_of(self, name: str) -> list[str]:
        """The member of that name and, where it is a rung's first run, the rung's other runs."""
        first = next((one for one in self.runs if one.name == name and not one.seed), None)
        if first is None:
            return [name] if name else []
        mine = [one.name for one in self.runs if one.rung == first.rung]
        return [one for one in mine if one != self.itself]

    def other_runs(self, strong: str, weak: str) -> list[tuple[str, str]]:
        """Other runs of two rungs, paired in order; none where there are not two, or of no member.

        Args:
            strong: A run of the one rung.
            weak: A run of the other.
        """
        runs = []
        for name in (strong, weak):
            rung = next((one.rung for one in self.runs if one.name == name), None)
            there = [one.name for one in self.runs if one.rung == rung]
            runs.append([one for one in there if one not in (strong, weak)])
        pairs = list(zip(*runs, strict=False))
        return pairs if len(pairs) > 1 else []

    def others(self, device: str) -> tuple[Other, ...]:
        """All of them as conditions beside the model, opened on its device; itself left out.

        Args:
            device: Where they are opened.
        """
        with opening(device, NOW.get().dtype):
            return tuple(
                Other(one.name, AnotherModel(one.open()))
                for one in (*self.members, *self.beside)
                if one.name != self.itself
            )

    @property
    def says(self) -> str:
        """What is known of it before anything is measured."""
        known = sorted(one.compute for one in self.members if one.compute is not None)
        many = f"{len(self.members)} model{'s' * (len(self.members) > 1)}"
        spread = f", from {power(known[0])} to {power(known[-1])} FLOPs" if known else ""
        return f"Family: {many}{spread}. " + (f"No curve: {self.no_curve}." if self.no_curve else
               "What lies beyond these computes is marked as extrapolated.")  # fmt: skip

    @property
    def no_curve(self) -> str:
        """Why no curve goes through it, before anything is measured; empty where one may."""
        rungs = len({one.rung for one in self.runs})
        if rungs >= FEWEST_RUNGS:
            return ""
        missing = (
            f"; that of {', '.join(self.unknown)} is not given (write MODEL=FLOPS or "
            "MODEL=PARAMETERSxTOKENS)"
            if self.unknown
            else ""
        )
        said = "one training compute is" if rungs == 1 else f"{rungs or 'no'} training computes are"
        return f"{said} known in this family, and a curve takes {FEWEST_RUNGS}{missing}"


def shipped_beside(subject: Subject) -> Family:
    """The ladder with every seed, beside a model.

    Beside a rung whose run was kept also its shorter annealed runs and its checkpoints.
    """
    known, mine = catalogue(), trained_as(subject)
    kept = known.run_of(mine.rung, "annealed") if mine and mine.role in ("rung", "annealed") else ()
    if mine is not None and mine.role == "rung" and not mine.seed:
        kept += known.run_of(mine.rung, "checkpoint")

    def member(name: str) -> Member:
        one = known.named(name)
        return Member(name, lambda: _shipped(name, str(subject.device)), one.compute,
                      one.parameters, one.tokens)  # fmt: skip

    return Family(
        tuple(member(one.name) for one in known.rungs()),
        itself=mine.name if mine else "",
        beside=tuple(member(one.name) for one in kept),
        shipped=True,
    )


def weaker_models(subject: Subject, text: Text) -> tuple[Other, ...]:
    """The ladder's models as conditions on a text of this model, the model itself left out.

    Empty where the model is not `on_ladder`.

    Raises:
        MeasurementError: What is to be measured is of the part that the ladder was trained on.
    """
    if not on_ladder(subject):
        return ()
    require_unseen(text)
    return shipped_beside(subject).others(str(subject.device))


@lru_cache(maxsize=64)
def _shipped(name: str, device: str) -> Subject:
    """A model that ships, loaded once: an assay asks for the same ones on every text."""
    return load(name, device=device)


AsFamily = str | Path | Member | Sequence["str | Path | Member"] | Mapping[Any, Any] | Family | None


def family_of(given: AsFamily) -> Family | None:
    """A family of the user's own; None where none was given.

    Args:
        given: Members, or their names with their compute (`MODEL=FLOPS`, `MODEL=PARAMETERSxTOKENS`,
            a rung of the ladder, or a name alone where the compute is not known), or .json files
            with an object of such: name → number, "PARAMETERSxTOKENS" or null. Or such a mapping,
            in Python also of models that are open. Among them `by-byte`: losses are compared in bits per
            byte also where all tokenizers are the model's own.

    Raises:
        CurveError: A compute is no number, a file holds something else, or no model is named.
        MeasurementError: Two members share a name.
    """
    if given is None or isinstance(given, Family):
        return given
    every = [given] if isinstance(given, str | Path | Member | Mapping) else list(given)
    models = [one for one in every if one != BY_BYTE]
    if every and not models:
        raise CurveError(
            "A family by byte", "it has no model", "Name some beside it: --family MODEL=FLOPS."
        )
    members = [member for one in models for member in _members(one)]
    require_computes(members)
    return Family(tuple(members), by_byte=len(models) < len(every)) if members else None


def _members(given: Any) -> list[Member]:
    if isinstance(given, Member):
        return [given]
    if isinstance(given, Mapping):
        return [_member(name, compute) for name, compute in given.items()]
    if not str(given).endswith(".json"):
        return [member_of(str(given), curve=True, needed=False)]
    asked = f"The family {given}"
    found = read_json(Path(given), asked, CurveError, bounded=True)
    if not isinstance(found, dict) or not found:
        what = f"a {type(found).__name__}" if found else "nothing"
        raise CurveError(
            asked, f"it holds {what} and no object of models",
            'Write {"MODEL": FLOPS, "ANOTHER": "PARAMETERSxTOKENS", "A THIRD": null}.',
        )  # fmt: skip
    return [_member(name, compute) for name, compute in found.items()]


def _member(model: Any, compute: Any) -> Member:
    """A model, or its name, with its compute."""
    name = getattr(model, "name", model)
    known = compute is None or isinstance(compute, str | float | int)
    if not known or isinstance(compute, bool):
        raise CurveError(
            f"The training compute of {name}", f"it is {compute!r}",
            'Give a number, "PARAMETERSxTOKENS", or null where it is not known.',
        )  # fmt: skip
    asked = name if compute is None else f"{name}={compute}"
    found = member_of(asked, curve=True, needed=False)
    return found if isinstance(model, str) else replace(found, open=lambda: model)
