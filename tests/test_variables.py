"""Variables: what a behaviour declares holds of its pairs, and what a user says of documents is kept."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from test_pairs import every_behaviour, toy, toy_of
from tiny import tiny_subject
from unexplained.donors.agreeing import Agreeing
from unexplained.errors import TextError
from unexplained.text import Text, behaviours, text
from unexplained.text.behaviours import Contrast, OfValues, Variable, exchange, side, variables
from unexplained.text.document import Block
from unexplained.text.pairs import pairs


def two_of(name: str) -> list[tuple[Contrast, Contrast]]:
    """Every pair of a behaviour with its role-swap."""
    return [(a, b) for orbit in behaviours.orbits(name) for a, b in [orbit.contrasts]]


def broken(declared: Variable, one: Contrast, other: Contrast) -> bool:
    """Whether a pair and its role-swap do not have the relation that is declared."""
    here, there = one.values[declared.name], other.values[declared.name]
    return not {
        "same": here == there,
        "changed": here != there,
        "the answer": here == one.answer.strip() and there == other.answer.strip(),
        "the wrong word": here == one.wrong.strip() and there == other.wrong.strip(),
    }[declared.relation]


@every_behaviour
def test_what_a_behaviour_declares_holds_of_every_pair(name: str) -> None:
    declared = variables(name)
    names = [one.name for one in declared]
    assert len(names) == len(set(names)) and any(one.stratum for one in declared)
    shown: Counter[str] = Counter()
    for one, other in two_of(name):
        assert list(one.values) and set(one.values) == set(names)
        assert dict(one.labels) == {v.name: one.values[v.name] for v in declared if v.stratum}
        assert not [v.name for v in declared if broken(v, one, other)], one
        shown.update(v.name for v in declared if v.place and one.values[v.name] in one.clean)
    pairs_there = len(two_of(name))
    # A slot may be missing in some templates (nothing closed), not in most.
    assert all(shown[v.name] > pairs_there / 3 for v in declared if v.place)


@every_behaviour
def test_no_other_relation_would_hold(name: str) -> None:
    """Or the law above could not fail."""
    orbits = two_of(name)
    for declared in variables(name):
        for relation in {"same", "changed"} - {declared.relation}:
            if declared.relation in ("the answer", "the wrong word") and relation == "changed":
                continue  # which these are too
            wrong = replace(declared, relation=relation)  # type: ignore[arg-type]
            assert any(broken(wrong, one, other) for one, other in orbits), (declared, relation)


@every_behaviour
def test_rules_of_a_behaviour_are_told_its_variables(name: str) -> None:
    own = {k: r for k, r in behaviours.shortcuts(name).items() if isinstance(r, OfValues)}
    for rule in own.values():
        for one, _ in two_of(name)[:20]:
            swapped = {**one.values, "template": "another", "verb": "another"}
            assert rule.prefers(swapped, one.answer) == rule.prefers(one.values, one.answer)


def test_a_side_is_what_is_declared_and_nothing_else() -> None:
    declared = [Variable("who", "x", stratum=True), Variable("mood")]
    made = side(declared, "The {x} {{sits}} there", " now", {"who": "{cat}", "mood": "calm"})
    assert made.prompt == "The {cat} {sits} there"
    assert made.labels == {"who": "{cat}"} and made.values == {"who": "{cat}", "mood": "calm"}
    with pytest.raises(AssertionError):
        side(declared, "The {x}", " now", {"who": "cat"})
    other = side(declared, "A {x}", " then", {"who": "dog", "mood": "calm"})
    first, second = exchange(made, other).contrasts
    assert (first.values, second.values) == (made.values, other.values)


def test_donors_of_pairs_can_agree_on_what_is_no_stratum() -> None:
    found = pairs("ioi", toy_of("ioi"), pairs=20, fit_pairs=400)
    values = {pair.document: pair.variables for pair in (*found.eval, *found.fit)}
    assert {"giver", "object", "template", "order"} <= set(values[found.eval[0].document])
    there = {pair.document: 30 for pair in found.fit}
    agreeing = Agreeing.on(found, "object", "order")
    for pair in found.eval:
        giver = values[agreeing.of(pair.document, 5, there, 0)]
        assert all(giver[n] == pair.variables[n] for n in ("object", "order"))
    assert "giver" not in found.labels(found.eval[0])  # a variable is no stratum


def rows(count: int = 40) -> list[dict[str, object]]:
    return [
        {"text": " ".join(f"t{(7 * i + j * (i + 1)) % 61}" for j in range(40)),
         "variables": {"author": f"a{i % 3}", "year": str(1900 + i)}}
        for i in range(count)
    ]  # fmt: skip


def read(path: Path) -> Text:
    return text(path, tiny_subject("llama"), documents=4, fit_documents=30, block=32)


def test_a_users_lines_and_rows_carry_variables_on_which_donors_can_agree(tmp_path: Path) -> None:
    lines, table = tmp_path / "a.jsonl", tmp_path / "a.parquet"
    lines.write_text("\n".join(json.dumps(row) for row in rows()))
    pq.write_table(pa.Table.from_pylist(rows()), table)
    mapped = tmp_path / "b.parquet"
    kind = pa.map_(pa.string(), pa.string())
    said = pa.array([list(row["variables"].items()) for row in rows()], kind)  # type: ignore[attr-defined]
    pq.write_table(pa.table({"text": [row["text"] for row in rows()], "variables": said}), mapped)
    made = [read(path) for path in (lines, table, mapped)]
    known = {str(row["text"]): row["variables"] for row in rows()}
    for one in made:
        assert [b.variables for b in one.eval] == [b.variables for b in made[0].eval]
        for block in (*one.eval, *one.fit):
            begins = " ".join(f"t{i}" for i in block.tokens)
            (own,) = {json.dumps(v) for t, v in known.items() if t.startswith(begins)}
            assert json.loads(own) == block.variables
        Agreeing.on(one, "author")
    # What is said of a document changes no text: the same blocks without.
    bare = tmp_path / "c.jsonl"
    bare.write_text("\n".join(json.dumps({"text": row["text"]}) for row in rows()))
    plain = [tuple(b.document for b in part) for part in (read(bare).eval, read(bare).fit)]
    assert plain == [tuple(b.document for b in part) for part in (made[0].eval, made[0].fit)]


@pytest.mark.parametrize("said", [["a"], "a", {"a": 1}, {"a": None}, None])
def test_variables_that_are_no_object_of_strings_are_refused_by_line(
    said: object, tmp_path: Path
) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text("\n".join(json.dumps({**row, "variables": said}) for row in rows()))
    with pytest.raises(TextError, match=r"Line 1 of .*`variables` is not an object of strings"):
        read(lines)
    table = tmp_path / "a.parquet"
    if said is not None and said != {"a": None}:
        columns = {"text": [row["text"] for row in rows()], "variables": [said] * len(rows())}
        pq.write_table(pa.table(columns), table)
        with pytest.raises(TextError, match=r"Row 1 of .*`variables` is not an object of strings"):
            read(table)


def test_lines_of_pairs_carry_variables_besides_labels(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    line = {"clean": "a b", "corrupted": "c b", "answer": " x", "wrong": " y"}
    more = {"labels": {"kind": "one"}, "variables": {"first": "a"}}
    path.write_text(json.dumps({**line, **more}))
    found = pairs(path, toy(["a", "b", "c", "x", "y"]), pairs=2)
    assert [dict(p.variables) for p in found.eval] == [{"kind": "one", "first": "a"}] * 2
    assert set(found.labels(found.eval[0])) == {"kind"}


def test_variables_do_not_change_what_a_text_is_called() -> None:
    """They are no part of what is measured, so what is kept stays valid when they are added."""
    found = pairs("ioi", toy_of("ioi"), pairs=4, fit_pairs=4)
    bare = replace(found, eval=tuple(replace(b, given={}) for b in found.eval)).first(4, 4)
    assert bare.fingerprint == found.first(4, 4).fingerprint
    assert Block("d", "x", found.eval[0].tokens).variables == {}
