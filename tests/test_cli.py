"""The command line as a user meets it: what it lists, what it draws again, how it says no."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from sample_record import sample_record
from unexplained import telling
from unexplained.cli import main
from unexplained.cli.app import app
from unexplained.errors import ExplanationError, TextError
from unexplained.explanations.files import find_explanation
from unexplained.record import Record, load_record
from unexplained.record.blocks import Prose, Table
from unexplained.record.ids import walk
from unexplained.telling import ProgressBars
from unexplained.text.named import is_pairs

RUN = CliRunner()


def said(*words: str) -> str:
    result = RUN.invoke(app, list(words), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def refused(*words: str) -> str:
    """Known errors come without a traceback, with exit status 2: main, without a new process."""
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(told):
        patch.setattr(sys, "argv", ["unexplained", *words])
        with pytest.raises(SystemExit) as left:
            main()
    assert left.value.code == 2, told.getvalue()
    assert "Traceback" not in told.getvalue()
    return " ".join(told.getvalue().split())


OUTSIDE = """
import os, sys
import unexplained.subject.load  # once for all of them
from unexplained.cli import main
for words in {asked!r}:
    child = os.fork()
    if not child:
        sys.argv = ["unexplained", *words]
        main()
    sys.stderr.write(f"status {{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}}\\n")
    sys.stderr.flush()
"""


def refused_outside(*asked: tuple[str, ...]) -> list[str]:
    """The same of the real program, in one process each."""
    command = [sys.executable, "-c", OUTSIDE.format(asked=asked)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    *said, rest = done.stderr.split("status 2\n")
    assert not rest, done.stdout + done.stderr
    return [" ".join(one.split()) for one in said]


def test_a_run_folder_is_refused_to_another_command(tmp_path: Path) -> None:
    files = ("--report", str(tmp_path / "o.html"), "--record", str(tmp_path / "o.json"))
    where = ("--run", str(tmp_path / "run"), *files)
    few = ("--text", "repeats", "--documents", "10", "--fit-documents", "2", "--block", "16")
    said("sweep", "rung-1", "L0.H0", *few, *where)
    told = refused("rewrite", "rung-2", *few, *where)
    assert "command is sweep there and rewrite here" in told
    assert "model is rung-1 there and rung-2 here" in told


@pytest.mark.parametrize("said", ["0", "1"])
def test_commands_keep_nothing_where_the_environment_says_so(
    said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unexplained.cli.shared import shared_ledgers

    monkeypatch.setenv("UNEXPLAINED_KEEP", said)
    assert (shared_ledgers() is None) == (said == "0")


def test_behaviours_that_a_tokenizer_leaves_too_few_pairs_of_do_not_end_the_list() -> None:
    told = said("behaviours", "rung-1", "--pairs", "8")
    assert all(name in told for name in ("agreement", "antonyms", "brackets", "ioi"))
    rows = [line.split("│") for line in told.splitlines() if line.count("│") == 6]
    last_column = " ".join(" ".join(row[-2] for row in rows).split())
    assert "tokenization leaves no pairs: Orbits passed over" in last_column


def own_pairs(path: Path, count: int) -> Path:
    """Pairs of words that every rung has: letters."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    rows = [{"clean": f"{a} {b} {a}", "corrupted": f"{b} {b} {a}", "answer": f" {b}", "wrong": f" {a}"}
            for a, b in pairwise(letters)]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:count]))
    return path


def test_a_sweep_over_twelve_pairs_of_ones_own_needs_no_counting(tmp_path: Path) -> None:
    mine = str(own_pairs(tmp_path / "mine.jsonl", 12))
    files = ("--report", str(tmp_path / "o.html"), "--record", str(tmp_path / "o.json"))
    said("sweep", "rung-1", "L0.H0", "--text", mine, "--no-gate", *files)
    record = load_record(tmp_path / "o.json")
    facts = next(b for _, b in walk(record.blocks) if isinstance(b, Table) and b.key == "facts")
    cells = {row.key: row.cells[0] for row in facts.rows}
    assert (cells["documents"], cells["predictions"]) == (12, 24) and "fit-documents" not in cells
    told = " ".join(b.words for _, b in walk(record.blocks) if isinstance(b, Prose))
    assert "eval: 64 pairs were asked for, role-swaps included, and there are 24." in told


def test_a_file_is_one_of_pairs_by_the_fields_of_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    for first, pairs in (
        ('{"clean": "a", "corrupted": "b"}', True),
        ('\ufeff\n\n{"answer": "a"}', True),
        ('{"text": "the \\"corrupted\\" files"}', False),
        ('{"text": "x", "corrupted": "no"}', False),
        ('["corrupted"]', False),
        ("", False),
    ):
        path.write_text(first + "\n", encoding="utf-8")
        assert is_pairs(str(path)) is pairs
    assert is_pairs("ioi") and not is_pairs("webmix") and not is_pairs("x" * 5000)
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert not is_pairs(str(tmp_path / "pipe.jsonl"))
    path.write_bytes(b"\xff")
    with pytest.raises(TextError, match="not UTF-8"):
        is_pairs(str(path))


def test_progress_says_rate_and_time_left_however_long_a_step_takes() -> None:
    now = [0.0]
    lines, paces = io.StringIO(), []
    plain = ProgressBars(Console(file=lines, width=120), clock=lambda: now[0])
    bars = ProgressBars(Console(file=io.StringIO(), force_terminal=True), clock=lambda: now[0])
    with bars:
        for done in (320, 352, 384, 1600, 3200):
            for one in (plain, bars):
                one("sweeping", done, 3200)
            paces.append(bars._bars.tasks[0].fields["pace"])
            now[0] += 10.0
    # 320 were there before; then 32 in 10 s, and a line no more often than every fifteen seconds.
    assert lines.getvalue().splitlines() == [
        "sweeping: 384 of 3,200, 3.2 a second, 15 min left",
        "sweeping: done",
    ]
    assert paces == [
        "",
        "3.2 a second, 15 min left",
        "3.2 a second, 15 min left",
        "42.7 a second, 38 s left",
        "",
    ]


def test_in_a_notebook_progress_is_one_line_that_is_empty_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    noted: list[object] = []

    class Cell:
        def update(self, data: dict[str, str], raw: bool) -> None:
            shown[-1] = data["text/plain"]

    def display(data: Any, raw: bool = False, display_id: bool = False) -> Cell:
        if raw:
            shown.append(data["text/plain"])
        else:  # rich's, of a line that stays
            noted.append(data)
        return Cell()

    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", ModuleType("IPython.display"))
    monkeypatch.setattr(sys.modules["IPython.display"], "display", display, raising=False)
    now = [0.0]
    console = Console(width=120)
    console.is_jupyter = True
    with ProgressBars(console, clock=lambda: now[0]) as bars:
        for done in (1, 2, 3):
            now[0] += 2.0  # at a terminal's pace nothing would be said yet
            bars("sweeping", done, 3)
            assert shown[0].startswith("sweeping: ")
        bars.note("kept in a folder")
    assert shown == [""] and len(noted) == 1


def test_a_step_that_takes_long_is_not_waited_for_in_silence() -> None:
    now = [0.0]
    lines = io.StringIO()
    bars = ProgressBars(Console(file=lines, width=120), clock=lambda: now[0])
    bars.still()
    now[0] = 16.0
    bars.still()  # before anything was told
    bars("sweeping", 3, 30)
    for now[0] in (20.0, 40.0, 45.0):
        bars.still()
    assert lines.getvalue().splitlines() == ["at work", "sweeping: 3 of 30, 24 s so far"]


def test_a_run_does_not_replace_what_an_earlier_one_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "SECONDS", 0.0)  # progress is told at once
    command = ("family", "rung-1", "rung-2", "rung-3", "--text", "pydocs", "--documents", "8",
               "--out", str(tmp_path))  # fmt: skip
    first, again = said(*command), said(*command, "-q")
    # Paths may be wrapped.
    assert "family-rung-1.html" in "".join(first.split())
    assert "family-rung-1-2.html" in "".join(again.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "family-rung-1-2.html", "family-rung-1-2.json", "family-rung-1.html", "family-rung-1.json"
    ]  # fmt: skip
    assert len(again.splitlines()) < len(first.splitlines())
    loud, quiet = (RUN.invoke(app, [*command, *more]).stderr for more in ((), ("-q",)))
    assert "measuring" in loud and not quiet
    for name in ("3", "4"):
        for kind in ("html", "json"):
            (tmp_path / f"family-rung-1-{name}.{kind}").unlink()
    done = RUN.invoke(app, [*command, "--json"])
    printed = json.loads(done.stdout)
    assert printed["instrument"] == "family"
    assert printed["blocks"] == json.loads((tmp_path / "family-rung-1.json").read_text())["blocks"]


def test_the_lists_name_what_there_is() -> None:
    assert "smollm2-135m" in said("models") and "Apache-2.0" in said("models")
    assert all(name in said("texts") for name in ("webmix", "pydocs", "repeats"))
    listed = said("explanations")
    assert "strict_induction" in listed and "own_amount" in listed and "pattern" in listed


@pytest.mark.parametrize(
    "command",
    [
        "assay",
        "demo",
        "sweep",
        "circuit",
        "behaviours",
        "heads",
        "report",
        "models",
        "texts",
        "rewrite",
        "sizes",
        "tasks",
        "gap",
        "ladder",
        "bars table",
    ],
)
def test_every_command_explains_itself(command: str) -> None:
    assert len(said(*command.split(), "--help")) > 300


def test_the_calculator_prints_the_published_cells() -> None:
    # reference_numbers §4: Cerebras' law from unigram needs .983; at .98 it leaves .084.
    row = next(r for r in said("bars", "table", "--curve", "cerebras", "--baseline", "unigram")
               .splitlines() if "unigram" in r)  # fmt: skip
    assert row.split()[:4] == ["cerebras*", "unigram", "0.109*", "0.983*"]
    assert row.split()[6] == "0.084*"


def test_the_ladder_lists_what_ships() -> None:
    listed = said("ladder")
    assert all(f"rung-{i}" in listed for i in range(1, 7)) and "attention-2" in listed


def test_a_model_of_the_ladder_is_rewritten_from_the_command_line(tmp_path: Path) -> None:
    page, record = tmp_path / "page.html", tmp_path / "record.json"
    words = said("rewrite", "rung-1", "--text", "repeats", "--documents", "6", "--fit-documents", "6",
                 "--draws", "1", "--run", str(tmp_path / "run"), "--report", str(page),
                 "--record", str(record))  # fmt: skip
    assert "With all 4 components replaced" in " ".join(words.split())
    found = load_record(record)
    assert found.instrument == "rewrite"
    assert found["replaced/against/weaker rung-6/loss"].value is not None
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("seeds", [True, False])
def test_a_rung_that_is_named_brings_its_other_seeds_unless_they_are_left_out(
    seeds: bool, tmp_path: Path
) -> None:
    def run(*words: str) -> Record:
        record = tmp_path / f"{words[0]}.json"
        said(*words, *(() if seeds else ("--no-seeds",)), "--text", "repeats", "--documents", "6",
             "--fit-documents", "4", "--block", "16", "--run", str(tmp_path / words[0]),
             "--report", str(tmp_path / "page.html"), "--record", str(record))  # fmt: skip
        return load_record(record)

    sizes = run("sizes", "rung-1", "rung-2", "rung-5")
    points = [where for where, _ in sizes.numbers() if where.endswith("/recovered")]
    assert len(points) == (7 if seeds else 3)
    gap = run("gap", "rung-2", "--weak", "rung-1", "--by", "rung-2-seed-1", "rung-1-seed-1")
    runs = {f"{rung}-seed-{i}" for rung in ("rung-1", "rung-2") for i in (1, 2)}
    assert ("runs/gap/is" in dict(gap.numbers())) == seeds and (runs <= set(gap.others)) == seeds


def test_a_record_is_drawn_again(tmp_path: Path) -> None:
    record = sample_record().save(tmp_path / "record.json")
    page = tmp_path / "page.html"
    assert "page.html" in said("report", str(record), "--out", str(page))
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("report", "nowhere.json"), "there is no such file"),
        (("models", "get", "smollm"), "Did you mean smollm2-135m?"),
        (("texts", "get", "webmx"), "Did you mean webmix?"),
        (("assay", "smollm3-135m"), "Did you mean smollm2-135m"),
        (("heads", "nobody.gguf"), "there is no such file"),
        (("models", "get", "gemma3-270m"), "must be read and accepted first"),
        (("assay", "smollm2-135m", "--report", "/proc/nope/x.html"), "it cannot be written"),
        (("sweep", "smollm2-135m", "--record", "/proc/nope/x.json"), "it cannot be written"),
        (("circuit", "smollm2-135m", "--graph", "/proc/nope/x.json"), "it cannot be written"),
        (("assay", "smollm2-135m", "--explanation", "nowhere.py"), "there is no such file"),
        (("rewrite", "rung-9"), "Did you mean rung-6"),
        (("ladder", "train", "rung9"), "Did you mean rung-6"),
        (("bars", "table", "--baseline", "mine=x"), "is no number"),
        (("heads", "x" * 300), "File name too long"),
        (("report", "."), "it cannot be read"),
        (("report", "x.json", "--out", "./x.json"), "The record and the report"),
    ],
)
def test_what_cannot_be_done_is_said_in_three_parts(
    words: tuple[str, ...], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNEXPLAINED_CACHE", str(tmp_path))
    assert expected in refused(*words)


def test_the_program_says_no_as_its_main_does() -> None:
    asked = [
        ("assay", "smollm3-135m"),  # an error of ours
        ("heads", "x" * 300),  # one of the system's
    ]
    for words, outside in zip(asked, refused_outside(*asked), strict=True):
        assert words[1][:20] in (said := refused(*words))
        assert outside == said


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.gguf"
    path.write_text("not a model", encoding="utf-8")
    assert "it cannot be read" in refused("heads", str(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("import json\nraise RuntimeError('mine')\n", "RuntimeError: mine"),
        ("x = 1\n", "it has no explanation"),
    ],
)
def test_an_explanation_file_of_the_users_fails_in_their_own_lines(
    content: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    path = tmp_path / "json.py"
    path.write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExplanationError) as error:
        find_explanation(str(path))
    assert expected in str(error.value) and "importlib" not in str(error.value)
    assert error.value.do, "what to do"
    assert sys.modules["json"] is json


def test_sizes_that_mean_nothing_are_refused_by_the_command_line() -> None:
    for words in (["--documents", "0"], ["--top", "0"], ["--block", "1"]):
        assert RUN.invoke(app, ["assay", "smollm2-135m", *words]).exit_code == 2


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"config.json": "{}", "pytorch_model.bin": "x"}, "its weights are pickled"),
        ({"config.json": "{}"}, "it has no weights in safetensors"),
        ({"model.safetensors": "x"}, "it has no config.json"),
        ({"config.json": '{"model_type": "lama"}', "model.safetensors": "x"}, "llama, mistral"),
        (
            {"config.json": '{"model_type": "llama"}', "model.safetensors": "x"},
            "Is every file whole",
        ),
    ],
)
def test_a_folder_that_is_no_safe_model_is_refused(
    files: dict[str, str], expected: str, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert expected in refused("heads", str(tmp_path))
