"""A short run of the fuzzer: the same cases every time. `make fuzz` runs longer (docs/fuzzing.md)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from fuzzing import CLEAR, RIGHT, Box, Finding, Strategy, commanded, explore, guarded
from sample_record import sample_record
from strategies import STRATEGIES
from tiny import tiny_subject
from unexplained.circuits import Graph, load_mib, save_mib
from unexplained.circuits.graph import CircuitError
from unexplained.errors import RecordError
from unexplained.record import load_record

EXAMPLES = {"command lines": 20, "configurations": 25, "units": 12, "graphs": 150}
"""How many cases; of the others 40. Chosen by what a case costs."""


@pytest.mark.parametrize("name", STRATEGIES)
def test_made_up_input_is_answered_and_changes_no_number_without_a_word(name, tmp_path):
    count = explore(STRATEGIES[name], tmp_path / "box", examples=EXAMPLES.get(name, 40))
    assert not count.findings, "\n".join(f"{k}: {v[1]}" for k, v in count.findings.items())
    # A damaged unit is measured again: it is neither refused nor believed.
    assert count.outcomes[CLEAR] or name == "units", count.outcomes
    assert count.outcomes[RIGHT], count.outcomes


# --- the fuzzer itself can fail ---------------------------------------------------------------------


def outcome_of(attempt, tmp_path: Path) -> tuple[dict[str, int], list[str]]:
    strategy = Strategy("one", "", lambda box: None, st.just(0), lambda box, _: attempt(box))
    count = explore(strategy, tmp_path / "box", examples=1)
    return dict(count.outcomes), list(count.findings)


def in_guard(act):
    def attempt(box: Box) -> str:
        with guarded(box):
            act(box)
        return RIGHT

    return attempt


TOUCHES = {
    "a file outside written": lambda box: (box.outside / "new.txt").write_text("x"),
    "a file outside changed": lambda box: (box.outside / "victim.json").write_text("x"),
    "a file outside removed": lambda box: (box.outside / "victim.json").unlink(),
    "a folder outside made": lambda box: (box.root / "beside").mkdir(),
    "a file moved out": lambda box: os.replace(
        (box.here / "x").write_text("x") and box.here / "x", box.root / "x"
    ),
    "a link outside": lambda box: (box.root / "link").symlink_to("x"),
}


@pytest.mark.parametrize("what", TOUCHES)
def test_the_fuzzer_finds_what_is_touched_outside(what, tmp_path):
    outcomes, findings = outcome_of(in_guard(TOUCHES[what]), tmp_path)
    assert outcomes == {"tried": 1, "findings": 1}
    assert "outside" in findings[0]


def test_the_fuzzer_lets_the_given_folder_be_written_to(tmp_path):
    attempt = in_guard(lambda box: (box.here / "new.txt").write_text("x"))
    assert outcome_of(attempt, tmp_path) == ({"tried": 1, RIGHT: 1}, [])


def test_the_fuzzer_finds_a_traceback_in_the_projects_code(tmp_path):
    from unexplained.sites import parse

    outcomes, findings = outcome_of(lambda box: parse(None, None), tmp_path)
    assert outcomes == {"tried": 1, "findings": 1}
    assert findings[0].startswith("traceback: ") and "sites.py" in findings[0]


def test_a_fault_of_the_fuzzers_own_is_no_finding(tmp_path):
    with pytest.raises(ZeroDivisionError):
        outcome_of(lambda box: 1 // 0, tmp_path)


def test_the_fuzzer_takes_an_error_without_a_part_for_a_finding():
    from fuzzing import clear

    def attempt() -> None:
        raise RecordError("The record x", " ")

    with pytest.raises(Finding, match="without a part"):
        clear(attempt)


def test_the_fuzzer_reads_the_real_exit_codes_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = commanded(["report", "missing.json"])
    assert code == 2 and "there is no such file" in " ".join(said.split())
    assert commanded(["report", "--nope"])[0] == 2
    assert commanded(["explanations"])[0] == 0


def test_the_same_seed_tries_the_same_cases(tmp_path):
    seen: list[list[object]] = [[], []]
    for number, cases in enumerate(seen):
        strategy = Strategy(
            "one", "", lambda box: None, st.integers(), lambda box, case, c=cases: c.append(case) or CLEAR
        )  # fmt: skip
        explore(strategy, tmp_path / str(number), examples=5, seeded=3)
    assert seen[0] == seen[1] and len(seen[0]) == 5


# --- what it found, by itself -----------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [True, "0.95"])
def test_a_record_whose_number_is_none_is_refused_by_its_field(wrong, tmp_path):
    record = json.loads(sample_record().to_json())
    (tmp_path / "r.json").write_text(json.dumps({**record, "level": wrong}))
    with pytest.raises(RecordError, match="level"):
        load_record(tmp_path / "r.json")
    (tmp_path / "r.json").write_text(json.dumps(record))
    assert load_record(tmp_path / "r.json") == sample_record()


@pytest.mark.parametrize("wrong", [True, "0.5", None, 10**17 + 1])
def test_a_graph_file_whose_score_is_no_number_is_refused(wrong, tmp_path):
    graph = Graph.of(tiny_subject("llama").shape, parallel=False)
    path = save_mib(tmp_path / "g.json", graph, np.arange(graph.edges) / 8)
    data = json.loads(path.read_text())
    data["edges"][graph.name(3)]["score"] = wrong
    path.write_text(json.dumps(data))
    with pytest.raises(CircuitError, match=r"score"):
        load_mib(path, graph)
