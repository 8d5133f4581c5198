"""The user's own pairs: a .jsonl file.

Every line is an object with the strings `clean`, `corrupted`, `answer` and `wrong` (words with
their leading space where they have one) and, if wanted, `labels` (an object of strings, by which
measurements are broken down), `variables` (another: on those donors can agree), `orbit` (a name that lines share which belong together) and `part` (`eval`, to be measured, or `fit`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal

from unexplained.errors import TextError, near_matches
from unexplained.text.behaviours import Contrast, Orbit
from unexplained.text.lines import json_lines, printable, require_unicode, strings_of

FIELDS = ("clean", "corrupted", "answer", "wrong")


def read(path: Path) -> tuple[list[Orbit], tuple[str, ...]]:
    """The orbits of a file and what to note about them.

    Lines without `orbit` are an orbit with their own role-swap, whether the file has it or not.
    Where an orbit's words are not right as often as wrong, the role-swaps that it lacks are added,
    with the labels of the pair that they are made from. That takes for granted that `wrong` is
    right after the corrupted prompt: where it is not (a prompt made meaningless, say), give an
    `orbit` in which both words have both roles, and nothing is added.

    Where some line has a `part`, lines without one are measured; role-swaps are in the part of the
    pair that they are made from.

    Raises:
        TextError: The file cannot be read or is empty, a line lacks a field or has one of another
            kind or with half a character, a line's prompts or words are the same, or a pair belongs
            to two orbits, or an orbit to two parts.
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
        raise TextError(
            f"The file '{printable(str(path))}'", "it is empty", "A pair is one JSON object a line."
        )
    split = any(contrast.part for group in groups.values() for contrast in group)
    found, added = [], 0
    for key, group in groups.items():
        lacking = [] if _balanced(group) else _lacking(group)
        added += len(lacking)
        part = _one_part(group) if split else ""
        found.append(Orbit((*group, *lacking), key if key in named else "", part))
    _require_one_orbit_each(found)
    given = sum(len(orbit.contrasts) for orbit in found) - added
    called = printable(path.name)
    notes = [f"{called}: {given} pairs; role-swaps added: {added}."]
    if repeats:
        notes.append(f"{called}: lines that repeat another exactly, left out: {repeats}.")
    return found, tuple(notes)


def _balanced(group: list[Contrast]) -> bool:
    right = Counter(contrast.answer for contrast in group)
    return right == Counter(contrast.wrong for contrast in group)


def _one_part(group: list[Contrast]) -> Literal["eval", "fit"]:
    for contrast in group[1:]:
        if (contrast.part or "eval") != (group[0].part or "eval"):
            raise TextError(
                contrast.where,
                f"it is of the part '{contrast.part or 'eval'}', and of its orbit "
                f"{group[0].where} is of '{group[0].part or 'eval'}'",
                "What is fitted must not have seen what is measured: give both the same `part`.",
            )
    return group[0].part or "eval"


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
    known = (*FIELDS, "labels", "variables", "orbit", "part")
    for name in FIELDS:
        if not isinstance(fields.get(name), str) or not fields[name]:
            there = ", ".join(fields) or "nothing"
            do = "It is running text: read it with text(…)." if "text" in fields else ""
            raise TextError(where, f"it has no string field `{name}` (found: {there})", do)
    for name in fields:
        if name not in known:
            raise TextError(where, f"it has a field `{name}`", near_matches(name, known))
    for one, other in (FIELDS[:2], FIELDS[2:]):
        if fields[one] == fields[other]:
            raise TextError(where, f"`{one}` and `{other}` are the same")
    labels, variables = (strings_of(where, fields, name) for name in ("labels", "variables"))
    orbit = fields.get("orbit", "")
    if not isinstance(orbit, str | int) or isinstance(orbit, bool):
        raise TextError(where, "`orbit` is neither a string nor a whole number")
    part = fields.get("part", "")
    if "part" in fields and part not in ("eval", "fit"):
        raise TextError(where, f"`part` is {part!r}", "It is 'eval' (measured) or 'fit'.")
    for name, text in (*fields.items(), ("orbit", str(orbit))):
        require_unicode(where, "a field's name", name)
        require_unicode(where, f"`{name}`", text if isinstance(text, str) else "")
    clean, corrupted, answer, wrong = (fields[name] for name in FIELDS)
    values = {**labels, **variables}
    return Contrast(clean, corrupted, answer, wrong, labels, where, part, values), str(orbit)
