"""What cannot be done is said before anything is measured: no pass of the model is run for it."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import unexplained as ux
from kinds_of_text import lines, refusal
from tiny import tiny_model, tiny_subject
from unexplained.cli import in_options, options_of
from unexplained.cli.app import app
from unexplained.errors import UnexplainedError
from unexplained.evaluate import evaluate
from unexplained.explanations import again
from unexplained.record import load_record
from unexplained.record.blocks import Table
from unexplained.record.ids import walk
from unexplained.subject import Subject, load

RUN = CliRunner()
FEW = ["--documents", "24", "--fit-documents", "6", "--block", "16"]
PYTHON = r"\b(pairs|fit_pairs|documents|fit_documents|block|gate|seed|keep|sample|memory|share)="


@pytest.fixture(scope="module")
def subject() -> Subject:
    return tiny_subject("llama")


@pytest.fixture
def passes(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Which passes of the model were run, of the one that every command opens."""
    run: list[str] = []
    for name in ("run", "prefix"):
        whole = getattr(Subject, name)

        def counted(self, *args, whole=whole, name=name, **more):
            run.append(name)
            return whole(self, *args, **more)

        monkeypatch.setattr(Subject, name, counted)
    monkeypatch.setattr(ux, "load", lambda name, **_: opened(subject, str(name)))
    yield run


def opened(subject: Subject, name: str) -> Subject:
    """The one model under every name, or others of its kind where they have to differ."""
    if not name.startswith("rung"):
        return replace(subject, name=name)
    model = tiny_model("llama", seed=sum(name.encode()))
    return replace(load(model, tokenizer=subject.tokenizer, device="cpu"), name=name)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that a user may have: texts, pairs and claims."""
    monkeypatch.setenv("UNEXPLAINED_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    draw = random.Random(0)

    def words(count: int) -> str:
        return " ".join(f"t{draw.randrange(1, 61)}" for _ in range(count))

    lines(tmp_path / "mine.jsonl", [{"text": words(40)} for _ in range(200)])
    rows = [
        {"clean": f"t{i % 60} t{i // 60} t40", "corrupted": f"t{i % 60} t{i // 60 + 9} t40",
         "answer": f" t{i % 50 + 2}", "wrong": f" t{i % 50 + 5}"} for i in range(300)
    ]  # fmt: skip
    lines(tmp_path / "pairs.jsonl", rows)
    lines(tmp_path / "dozens.jsonl", [{**row, "orbit": i // 12} for i, row in enumerate(rows)])
    lines(tmp_path / "twelve.jsonl", rows[:12])
    lines(tmp_path / "halves.jsonl", [
        {**row, "part": "fit" if i % 2 else "eval"} for i, row in enumerate(rows[:12])
    ])  # fmt: skip
    (tmp_path / "claims.py").write_text(CLAIMS, encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "broken.py").write_text("raise RuntimeError('mine')\n", encoding="utf-8")
    (tmp_path / "a folder").mkdir()
    return tmp_path


CLAIMS = '''
import unexplained as ux
from unexplained.explanations import patterns

@ux.explanation(gives="pattern", reads=["tokens"])
def before(view):
    """To the token before."""
    return patterns.previous(view.tokens)

@ux.explanation(gives="value", reads=["tokens"])
def nothing(view):
    """Nothing."""
    return 0 * view.tokens[..., None].float()

@ux.explanation(gives="pattern", reads=["tokens", "L9.mlp"])
def elsewhere(view):
    """Reads a layer that is not there."""
    return patterns.previous(view.tokens)
'''

PROGRAM = '''
import torch
import unexplained as ux

@ux.explanation(gives="logits", reads=["tokens"])
def program(view):
    """Nothing is known."""
    return torch.zeros(*view.tokens.shape, view.vocabulary)
'''

TEXT = ["--text", "mine.jsonl", *FEW]
PAIRS = ["--text", "pairs.jsonl", "--documents", "12", "--fit-documents", "6"]
ASSAY = ["assay", "tiny", "--no-twin", "--singles", "0"]


def said(words: list[str]) -> str:
    """What a refusal says where it is typed; anything but a refusal fails."""
    result = RUN.invoke(app, words, env={"COLUMNS": "300"})
    if isinstance(result.exception, UnexplainedError):
        return in_options(str(result.exception), options_of(words))
    assert isinstance(result.exception, SystemExit), f"{result.exception!r}\n{result.output[-300:]}"
    assert result.exit_code == 2, f"exit {result.exit_code}: {result.output[-300:]}"
    return result.output


REFUSED: dict[str, tuple[list[str], str]] = {
    # sites
    "assay: a layer that is not there": ([*ASSAY, "--heads", "L9.H9", *TEXT], "L9.H9"),
    "assay: a head that is not there": ([*ASSAY, "--heads", "L0.H0 L1.H7", *TEXT], "L1.H7"),
    "assay: no site at all": ([*ASSAY, "--heads", " ", *TEXT], "empty"),
    "assay: a site that does not parse": ([*ASSAY, "--heads", "l0h1", *TEXT], "parse"),
    "assay: a range backwards": ([*ASSAY, "--heads", "L0.H3-1", *TEXT], "backwards"),
    "assay: a pattern of an MLP": ([*ASSAY, "--heads", "L0.mlp", *TEXT], "L0.mlp"),
    "assay: a pattern of the embedding": ([*ASSAY, "--heads", "embed", *TEXT], "embed"),
    "assay: a head's pattern": ([*ASSAY, "--heads", "L0.H0.pattern", *TEXT], r"L0\.H0"),
    "assay: a head's query": ([*ASSAY, "--heads", "L0.H0.q", *TEXT], r"L0\.H0"),
    "assay: what a head adds": ([*ASSAY, "--heads", "L1.H2.out", *TEXT], r"L1\.H2"),
    "assay: a head and its own value": ([*ASSAY, "--heads", "L0.H0 L0.H0.z", *TEXT], r"L0\.H0"),
    "sweep: a layer that is not there": (["sweep", "tiny", "L9.H9", *TEXT], "L9.H9"),
    "rewrite: a layer that is not there": (["rewrite", "tiny", "--sites", "L9.mlp", *TEXT], "L9.mlp"),
    "tasks: a layer that is not there": (["tasks", "tiny", "--sites", "L9.H9", *TEXT], "L9.H9"),
    # Under a name that is known: names of models are asked for before anything is loaded.
    "gap: a head that is not there": (["gap", "rung-4", "--sites", "L0.H77", *TEXT], r"L0\.H77"),
    "gap: a model that is not there": (["gap", "rung-44", *TEXT], r"rung-4\b"),
    # explanations
    "assay: an explanation that is not there": (
        [*ASSAY, "--explanation", "strict_inductoin", *TEXT], "strict_induction"),
    "assay: a file that is not there": ([*ASSAY, "--explanation", "no.py", *TEXT], "no such file"),
    "assay: a name that the file has not": (
        [*ASSAY, "--explanation", "claims.py:after", *TEXT], "before"),
    "assay: a file that raises": ([*ASSAY, "--explanation", "broken.py", *TEXT], "mine"),
    "assay: a program for the whole model": (
        [*ASSAY, "--explanation", "program.py", *TEXT], "whole model"),
    "assay: an explanation twice": (
        [*ASSAY, "--explanation", "claims.py:before", "--explanation", "claims.py:before", *TEXT],
        "twice"),
    "assay: a value of a head": (
        [*ASSAY, "--heads", "L0.H0", "--explanation", "claims.py:nothing", *TEXT], "value|head"),
    "assay: it reads a layer that is not there": (
        [*ASSAY, "--heads", "L0.H0", "--explanation", "claims.py:elsewhere", *TEXT], "L9.mlp"),
    "rewrite: a pattern for a program": (
        ["rewrite", "tiny", "--program", "claims.py:before", *TEXT], "logits"),
    "rewrite: a program that is not there": (["rewrite", "tiny", "--program", "no.py", *TEXT], "no such file"),
    "gap: an explanation that is not there": (
        ["gap", "tiny", "--sites", "L0.H0", "--explanation", "nope", *TEXT], "nope"),
    # texts
    "assay: the second of two texts": (
        [*ASSAY, "--heads", "L0.H0", *TEXT, "--text", "nope.txt"], "nope.txt"),
    "assay: a behaviour": ([*ASSAY, "--heads", "L0.H0", "--text", "ioi"], "ioi"),
    "tasks: a task that is not there": (["tasks", "tiny", "--task", "nope", *TEXT], "nope"),
    "tasks: one task twice": (
        ["tasks", "tiny", "--task", "repeats", "--task", "repeats", *TEXT], "once|twice|repeats"),
    "tasks: a weaker model that is not there": (["tasks", "tiny", "--weak", "rung-9", *TEXT], "rung-9"),
    "circuit: running text": (["circuit", "tiny", "--text", "mine.jsonl"], "mine.jsonl"),
    "circuit: a behaviour that is not there": (["circuit", "tiny", "--text", "iou"], "ioi"),
    "sweep: to patch running text": (["sweep", "tiny", "--ablation", "patch", *TEXT], "patch|pairs"),
    "sweep: the corrupted prompts of running text": (["sweep", "tiny", "--swapped", *TEXT], "pairs"),
    # measures and methods
    "sweep: an ablation that is not there": (["sweep", "tiny", "--ablation", "maen", *TEXT], "mean"),
    "sweep: a measure that is not there": (["sweep", "tiny", "--measure", "lss", *TEXT], "loss"),
    "sweep: the logit difference of running text": (
        ["sweep", "tiny", "--measure", "logit difference", *TEXT], "pairs|running text"),
    "sweep: control variates of a measure without a gradient": (
        ["sweep", "tiny", "--measure", "accuracy", "--method", "control variates", "--sample", "12", *TEXT],
        "accuracy|gradient"),
    # counts
    "sweep: 6 documents": (
        ["sweep", "tiny", "--text", "mine.jsonl", "--documents", "6", "--block", "16"], "documents"),
    "sweep: 1 document": (
        ["sweep", "tiny", "--text", "mine.jsonl", "--documents", "1", "--block", "16"], "documents"),
    "sweep: 6 documents for a race": (
        ["sweep", "tiny", "--method", "race", "--text", "mine.jsonl", "--documents", "6",
         "--block", "16"], "documents"),
    "sweep: a sample of all": (["sweep", "tiny", "--method", "race", "--sample", "24", *TEXT], "sample"),
    "sweep: a sample of none": (["sweep", "tiny", "--method", "race", "--sample", "0", *TEXT], "sample"),
    "sweep: a sample below nothing": (
        ["sweep", "tiny", "--method", "control variates", "--sample", "-3", *TEXT], "sample"),
    "sweep: to keep none": (["sweep", "tiny", "--method", "race", "--keep", "0", *TEXT], "keep|largest|strongest"),
    "sweep: to keep fewer than none": (
        ["sweep", "tiny", "--method", "race", "--keep", "-2", *TEXT], "keep|largest|strongest"),
    "sweep: pairs of fewer than none": (["sweep", "tiny", "--pairs", "-1", *TEXT], "pairs"),
    "assay: fewer single components than none": (
        ["assay", "tiny", "--singles", "-1", "--heads", "L0.H0", *TEXT], "singles"),
    "heads: to ablate fewer than none": (["heads", "tiny", "--ablate", "-1", *FEW[:2]], "ablate"),
    "heads: to show fewer than none": (["heads", "tiny", "--show", "-1", *FEW[:2]], "show"),
    "gap: a share above all": (["gap", "tiny", "--share", "1.5", *TEXT], "share"),
    "gap: a share of nothing": (["gap", "rung-4", "--share", "0", *TEXT], "share"),
    "gap: a share that is no number": (["gap", "tiny", "--share", "nan", *TEXT], "share"),
    "sweep: a seed below nothing": (["sweep", "tiny", "--seed", "-1", *TEXT], "seed"),
    "rewrite: a seed below nothing": (["rewrite", "tiny", "--seed", "-1", *TEXT], "seed"),
    "assay: a seed that no generator takes": (
        [*ASSAY, "--heads", "L0.H0", "--seed", str(-(2**70)), *TEXT], "seed"),
    "curve: one model": (
        ["family", "tiny=1e15", "--text", "mine.jsonl", "--documents", "4"], "three|3"),
    "curve: a compute that is none": (["family", "a=1e15", "b=nan", "c=2e15", "--text", "mine.jsonl"], "b"),
    "curve: a compute without end": (["family", "a=1e15", "b=inf", "c=2e15", "--text", "mine.jsonl"], "b"),
    # budgets
    "sweep: no memory": (["sweep", "tiny", "--memory", "0", *TEXT], "memory"),
    "sweep: memory below nothing": (["sweep", "tiny", "--memory", "-1", *TEXT], "memory"),
    "sweep: memory that is no number": (["sweep", "tiny", "--memory", "nan", *TEXT], "memory"),
    "sweep: memory that holds nothing": (["sweep", "tiny", "--memory", "1e-9", *TEXT], "memory"),
    "sweep: workers below nothing": (["sweep", "tiny", "--workers", "-2", *TEXT], "workers"),
    # files
    "assay: a report that is a folder": (
        [*ASSAY, "--heads", "L0.H0", "--report", "a folder", *TEXT], "a folder"),
    "sweep: a record below a file": (
        ["sweep", "tiny", "--record", "claims.py/x.json", *TEXT], r"claims\.py"),
    "sweep: one file for report and record": (
        ["sweep", "tiny", "--report", "x.out", "--record", "x.out", *TEXT], r"x\.out"),
    "circuit: one file for graph and record": (
        ["circuit", "tiny", "--text", "pairs.jsonl", "--pairs", "12", "--fit-pairs", "6", "--no-gate",
         "--graph", "x.json", "--record", "x.json"], r"x\.json"),
    "sweep: a run folder below a file": (["sweep", "tiny", "--run", "claims.py/x", *TEXT], r"claims\.py"),
    "tasks: a run folder that is a file": (
        ["tasks", "tiny", "--run", "claims.py", *TEXT], r"'claims\.py'.* it is a file"),
    "circuit: a run folder that is a file": (
        ["circuit", "tiny", "--text", "pairs.jsonl", "--run", "claims.py"], r"'claims\.py'.* it is a file"),
    "circuit: a graph to compare that is pickled": (
        ["circuit", "tiny", "--text", "pairs.jsonl", "--compare", "scores.pt"], r"scores\.pt"),
    "sweep: a run folder that is a file": (["sweep", "tiny", "--run", "claims.py", *TEXT], r"claims\.py"),
    "circuit: a graph to compare that is not there": (
        ["circuit", "tiny", "--text", "pairs.jsonl", "--compare", "no.json"], r"no\.json"),
    "circuit: a graph file pickled": (
        ["circuit", "tiny", "--text", "pairs.jsonl", "--pairs", "12", "--fit-pairs", "6", "--no-gate",
         "--graph", "scores.pt"], r"scores\.pt|pickle|json"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_done_is_said_before_anything_is_measured(what, here, passes, monkeypatch):
    # What a fresh process finds is in test_again.py, and each one takes seconds.
    monkeypatch.setattr(again, "_ask", lambda request: (None, []))
    words, about = REFUSED[what]
    told = said(words)
    assert re.search(about, told, re.IGNORECASE), told
    assert not passes, f"{len(passes)} passes before it was said: {told}"


OWN_WORDS: dict[str, list[str]] = {
    "sweep: orbits larger than all that is asked for": [
        "sweep", "tiny", "--text", "dozens.jsonl", "--documents", "10", "--fit-documents", "6"],
    "tasks: orbits larger than all that is asked for": [
        "tasks", "tiny", "--text", "mine.jsonl", "--task", "dozens.jsonl", "--documents", "10",
        "--fit-documents", "10", "--block", "16"],
    "circuit: orbits larger than all that is asked for": [
        "circuit", "tiny", "--text", "dozens.jsonl", "--pairs", "20", "--fit-pairs", "20"],
    "circuit: too few to tell whether the model has it": [
        "circuit", "tiny", "--text", "pairs.jsonl", "--pairs", "6", "--fit-pairs", "9000"],
}  # fmt: skip


@pytest.mark.parametrize("what", OWN_WORDS)
def test_the_command_line_is_answered_in_its_own_words(what, here, passes):
    """Advice names options that can be typed, and numbers that then work."""
    words = OWN_WORDS[what]
    told = said(words)
    options = ["--pairs"] if words[0] == "circuit" else ["--documents", "--fit-documents"]
    assert not re.search(PYTHON, told), told
    assert all(option in told for option in options), f"not all of {options} in: {told}"
    assert not passes


def test_the_number_that_is_advised_for_documents_of_pairs_is_taken(here, passes):
    words = ["sweep", "tiny", "L0.H0", "--text", "dozens.jsonl", "--no-gate"]
    asked = "10"
    for _ in range(2):  # an orbit of 24 is not divided; and a sweep takes ten orbits
        told = said([*words, "--documents", asked])
        found = re.search(r"--documents[ =](\d+)", told)
        assert found is not None, told
        asked = found[1]
    assert asked == "120"
    result = RUN.invoke(app, [*words, "--documents", asked, "--pairs", "0"])
    assert result.exit_code == 0, result.exception


MORE: dict[str, tuple[list[str], int]] = {
    "sweep": (["sweep", "tiny", "L0.H0", "--text", "pairs.jsonl", "--documents", "900",
               "--pairs", "0", "--no-gate"], 600),
    "circuit": (["circuit", "tiny", "--text", "halves.jsonl", "--pairs", "900", "--fit-pairs", "900",
                 "--no-gate", "--draws", "1", "--method", "eap"], 12),
}  # fmt: skip


@pytest.mark.parametrize("command", MORE)
def test_a_file_with_fewer_pairs_than_are_asked_for_is_measured_whole_and_it_is_told(
    command, here, passes
):
    """Of one's own pairs all are wanted: more are not refused, as they are of a behaviour."""
    words, there = MORE[command]
    result = RUN.invoke(app, words)
    assert result.exit_code == 0, result.exception
    record = (here / "runs" / f"{command}-tiny.json").read_text(encoding="utf-8")
    assert f"pairs were asked for, role-swaps included, and there are {there}." in record


def test_twelve_pairs_of_ones_own_whose_lines_have_parts_make_a_circuit(here, passes):
    """Six are scored and six measured, with role-swaps 12 and 12; five orbits are what a gate takes."""
    words = [
        "circuit",
        "tiny",
        "--text",
        "halves.jsonl",
        "--no-gate",
        "--draws",
        "1",
        "--method",
        "eap",
    ]
    assert RUN.invoke(app, words).exit_code == 0
    record = load_record(here / "runs" / "circuit-tiny.json")
    facts = next(
        block for _, block in walk(record.blocks) if isinstance(block, Table) and block.facts
    )
    cells = {row.key: row.cells[0] for row in facts.rows}
    assert (cells["pairs"], cells["orbits"], cells["fit-pairs"]) == (12, 6, 12)
    told = said(["circuit", "tiny", "--text", "twelve.jsonl"])
    assert '"part": "fit"' in told


def test_a_note_on_pairs_at_the_command_line_names_no_parameter_of_pythons(here, passes):
    result = RUN.invoke(app, ["circuit", "tiny", "--text", "pairs.jsonl", "--pairs", "7",
                              "--fit-pairs", "5", "--no-gate", "--draws", "1", "--method", "eap"])  # fmt: skip
    assert result.exit_code == 0, result.exception
    found = json.loads((here / "runs" / "circuit-tiny.json").read_text(encoding="utf-8"))
    del found["command"]  # a test is no program with a command line: it is called again from Python
    notes = json.dumps(found)
    assert '"aside"' in notes
    assert not re.search(PYTHON, notes), notes


def test_a_behaviour_that_the_model_has_not_is_refused_in_options_of_the_command_line(here, passes):
    told = said(["sweep", "tiny", *PAIRS])
    assert "--no-gate" in told


# --- the same from Python -----------------------------------------------------------------------

ASKED: dict[str, tuple[Callable[[Subject, ux.Text], object], str]] = {
    "assay: a layer that is not there": (lambda s, t: ux.assay(s, "L9.H9", t, singles=0), "L9.H9"),
    "assay: no explanation": (lambda s, t: ux.assay(s, "L0.H0", t, explanations=[], singles=0), "explanation"),
    "assay: no text": (lambda s, t: ux.assay(s, "L0.H0", [], singles=0), "text"),
    "assay: singles below nothing": (lambda s, t: ux.assay(s, "L0.H0", t, singles=-1), "singles"),
    "sweep: a measure that is not there": (
        lambda s, t: ux.sweep(s, "L0.H0", t, measure="lss"), "loss"),
    "sweep: a method that is not there": (
        lambda s, t: ux.sweep(s, "L0.H0", t, method="exakt"), "exact"),  # type: ignore[arg-type]
    "sweep: memory below nothing": (lambda s, t: ux.sweep(s, "L0.H0", t, memory=-1), "memory"),
    "sweep: six documents": (lambda s, t: ux.sweep(s, "L0.H0", t.first(6)), "documents"),
    "rewrite: no draws": (lambda s, t: ux.rewrite(s, t, sites="L0.H0", draws=0), "draws"),
    "rewrite: no explanations": (lambda s, t: ux.rewrite(s, t, sites=" "), "empty"),
    "rewrite: a program that gives a pattern": (
        lambda s, t: ux.rewrite(s, t, sites="L0.H0", programs=[ux.LIBRARY.get("strict_induction")]), "logits"),
    "evaluate: a part that is not there": (
        lambda s, t: evaluate(s, t, [], part="evl"), "eval"),  # type: ignore[arg-type]
    "evaluate: tokens of a condition that is not measured": (
        lambda s, t: evaluate(s, t, [], keep_tokens=["nobody"]), "nobody"),
    "evaluate: a measure that is not there": (
        lambda s, t: evaluate(s, t, [], measure="logit differences"), "logit difference"),  # type: ignore[arg-type]
    "evaluate: an empty text": (lambda s, t: evaluate(s, t.first(0), []), "empty|no document|document"),
    "tasks: none": (lambda s, t: ux.tasks(s, t, asked=[], sites="L0.H0"), "task"),
    "circuit: running text": (lambda s, t: ux.circuit(s, t), "pairs"),
}  # fmt: skip


@pytest.mark.parametrize("what", ASKED)
def test_what_python_asks_for_and_cannot_be_done_is_said_first(what, here, passes, subject):
    text = ux.text("mine.jsonl", subject, documents=24, fit_documents=6, block=16)
    attempt, about = ASKED[what]
    refusal(lambda: attempt(subject, text), about)
    assert not passes, f"{len(passes)} passes before it was said"


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95, float("nan")])
def test_a_level_that_is_no_probability_is_refused_before_anything_is_measured(
    level, here, passes, subject
):
    text = ux.text("mine.jsonl", subject, documents=24, fit_documents=6, block=16)
    refusal(lambda: ux.sweep(subject, "L0.H0", text, settings=ux.Settings(level=level)), "level")
    assert not passes


# --- what can be done is not refused ------------------------------------------------------------

WORKS: dict[str, list[str]] = {
    "assay of a head": [*ASSAY, "--heads", "L0.H0", *TEXT],
    "assay of a user's claim": [
        *ASSAY, "--heads", "L0.H0", "--explanation", "claims.py:before", *TEXT],
    "sweep of two kinds of site": ["sweep", "tiny", "L0.H0-1 L1.mlp", "--pairs", "0", *TEXT],
    "tasks, one of them all pairs of one's own": [
        "tasks", "tiny", "--text", "mine.jsonl", "--task", "halves.jsonl", "--sites", "L0.H0",
        "--documents", "40", "--fit-documents", "40", "--block", "16"],
    "sweep of pairs": ["sweep", "tiny", "L0.H0", "--no-gate", "--pairs", "0", *PAIRS],
    "heads": ["heads", "tiny", "--show", "3", "--documents", "4", "--block", "16", "--no-twin"],
    "heads, all ablated though more are asked for": [
        "heads", "tiny", "--ablate", "2", "--documents", "16", "--block", "16", "--no-twin"],
}  # fmt: skip


@pytest.mark.parametrize("what", WORKS)
def test_what_can_be_done_is_done(what, here, passes):
    result = RUN.invoke(app, WORKS[what])
    assert result.exit_code == 0, f"{result.exception!r}\n{result.output[-400:]}"
    assert passes


PAIRS_FILES: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "an empty first line": ("odd.jsonl", lambda text: b"\n" + text.encode()),
    "a BOM": ("odd.jsonl", lambda text: b"\xef\xbb\xbf" + text.encode()),
    "CRLF": ("odd.jsonl", lambda text: text.replace("\n", "\r\n").encode()),
    "a name in capitals": ("ODD.JSONL", lambda text: text.encode()),
    "a field's name in escapes": (
        "odd.jsonl", lambda text: text.replace('"corrupted"', '"\\u0063orrupted"').encode()),
    "a space before the first brace": ("odd.jsonl", lambda text: b"  " + text.encode()),
}  # fmt: skip


@pytest.mark.parametrize("how", PAIRS_FILES)
def test_a_file_of_pairs_is_known_for_one_however_it_is_written(how, here, passes):
    name, write = PAIRS_FILES[how]
    (here / name).write_bytes(write((here / "pairs.jsonl").read_text(encoding="utf-8")))
    result = RUN.invoke(app, ["sweep", "tiny", "L0.H0", "--text", name, "--documents", "12",
                              "--fit-documents", "6", "--no-gate", "--pairs", "0"])  # fmt: skip
    assert result.exit_code == 0, f"{result.exception}"
    assert "logit" in (here / "runs" / "sweep-tiny.json").read_text(encoding="utf-8")


def test_running_text_that_speaks_of_pairs_is_running_text(here, passes):
    rows = [json.loads(line) for line in (here / "mine.jsonl").read_text().splitlines()]
    rows[0] = {"corrupted": "no", **rows[0]}
    lines(here / "mine.jsonl", rows)
    result = RUN.invoke(app, ["sweep", "tiny", "L0.H0", "--pairs", "0", *TEXT])
    assert result.exit_code == 0, f"{result.exception}"
