"""The user's own pairs: a .jsonl file.

Every line is an object with the strings `clean`, `corrupted`, `answer` and `wrong` (words with
their leading space where they have one) and, if wanted, `labels` (an object of strings) and
`orbit` (a name that lines share which belong together).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from unexplained.errors import TextError, near_matches
from unexplained.text.behaviours import Contrast, Orbit
from unexplained.text.lines import json_lines

FIELDS = ("clean", "corrupted", "answer", "wrong")


def read(path: Path) -> tuple[list[Orbit], tuple[str, ...]]:
    """The orbits of a file and what to note about them.

    Lines without `orbit` are an orbit with their own role-swap, whether the file has it or not.
    Where an orbit's words are not right as often as wrong, the role-swaps that it lacks are added,
    with the labels of the pair that they are made from. That takes for granted that `wrong` is
    right after the corrupted prompt: where it is not (a prompt made meaningless, say), give an
    `orbit` in which both words have both roles, and nothing is added.

    Raises:
        TextError: The file cannot be read or is empty, a line lacks a field or has one of another
            kind, a line's prompts or words are the same, or a pair belongs to two orbits.
    """
    groups: dict[str, list[Contrast]] = {}
    named: set[str] = set()
    repeats = 0
    for contrast, name in _contrasts(path):
        # A pair and its role-swap have the same lesser id, so they meet without a name.
        key = name or min(contrast.id, contrast.role_swapped().id)
        if name:
            named.add(key)
        group = groups.setdefault(key, [])
        if contrast.id in {other.id for other in group}:
            repeats += 1
        else:
            group.append(contrast)
    if not groups:
        raise TextError(f"The file '{path}'", "it is empty")
    found, added = [], 0
    for key, group in groups.items():
        lacking = [] if _balanced(group) else _lacking(group)
        added += len(lacking)
        found.append(Orbit((*group, *lacking), key if key in named else ""))
    _require_one_orbit_each(found)
    given = sum(len(orbit.contrasts) for orbit in found) - added
    notes = [f"{path.name}: {given} pairs; role-swaps added: {added}."]
    if repeats:
        notes.append(f"{path.name}: lines that repeat another exactly, left out: {repeats}.")
    return found, tuple(notes)


def _balanced(group: list[Contrast]) -> bool:
    right = Counter(contrast.answer for contrast in group)
    return right == Counter(contrast.wrong for contrast in group)


def _lacking(group: list[Contrast]) -> list[Contrast]:
    there = {contrast.id for contrast in group}
    swaps = [contrast.role_swapped() for contrast in group]
    return [swap for swap in swaps if swap.id not in there]


def _require_one_orbit_each(orbits: list[Orbit]) -> None:
    first: dict[str, str] = {}
    for orbit in orbits:
        for contrast in orbit.contrasts:
            if contrast.id in first:
                raise TextError(
                    contrast.where,
                    f"the pair, or its role-swap, is in another orbit too ({first[contrast.id]})",
                    "Give both lines the same `orbit`, or neither.",
                )
            first[contrast.id] = contrast.where


def _contrasts(path: Path) -> list[tuple[Contrast, str]]:
    """Every line's contrast and the orbit's name, empty where none is given."""
    return [_contrast(row, where) for where, row in json_lines(path)]


def _contrast(row: Any, where: str) -> tuple[Contrast, str]:
    fields = row if isinstance(row, dict) else {}
    known = (*FIELDS, "labels", "orbit")
    for name in FIELDS:
        if not isinstance(fields.get(name), str) or not fields[name]:
            there = ", ".join(fields) or "nothing"
            raise TextError(where, f"it has no string field `{name}` (found: {there})")
    for name in fields:
        if name not in known:
            raise TextError(where, f"it has a field `{name}`", near_matches(name, known))
    for one, other in (FIELDS[:2], FIELDS[2:]):
        if fields[one] == fields[other]:
            raise TextError(where, f"`{one}` and `{other}` are the same")
    labels = fields.get("labels", {})
    if not isinstance(labels, dict) or not all(isinstance(label, str) for label in labels.values()):
        raise TextError(where, "`labels` is not an object of strings")
    orbit = fields.get("orbit", "")
    if not isinstance(orbit, str | int) or isinstance(orbit, bool):
        raise TextError(where, "`orbit` is neither a string nor a whole number")
    clean, corrupted, answer, wrong = (fields[name] for name in FIELDS)
    return Contrast(clean, corrupted, answer, wrong, labels, where), str(orbit)
