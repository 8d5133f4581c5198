"""At the command line what cannot be measured is refused before a model is loaded, or at least run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import unexplained as ux
from unexplained import subject
from unexplained.cli import in_options, options_of
from unexplained.cli.app import app
from unexplained.errors import UnexplainedError
from unexplained.ladder import members
from unexplained.subject import load

RUN = CliRunner()
FEW = ("--text", "repeats", "--documents", "10", "--fit-documents", "4", "--block", "16")
NAMES = ("pydocs", "webmix")


class WasLoaded(Exception):
    """A model was loaded although it should have been refused first."""


class WasRun(Exception):
    """A model was run although it should have been refused first."""


@pytest.fixture(autouse=True)
def nothing_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(*words: object, **more: object) -> None:
        raise WasRun

    monkeypatch.setattr(torch.nn.Embedding, "forward", run)
    monkeypatch.setenv("UNEXPLAINED_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    (tmp_path / "prose.txt").write_text("some words of prose " * 40, encoding="utf-8")
    (tmp_path / "claims.py").write_text(
        "from unexplained import explanation\n"
        "@explanation(gives='value', reads=['tokens'])\n"
        "def of_mlps(view):\n"
        "    '''Nothing.'''\n"
        "@explanation(gives='logits', reads=['tokens'])\n"
        "def program(view):\n"
        "    '''Nothing.'''\n",
        encoding="utf-8",
    )


def outcome(*words: str) -> BaseException | None:
    result = RUN.invoke(app, list(words), env={"COLUMNS": "200"})
    assert result.exit_code, result.output
    return result.exception


COMMANDS = {
    "assay": ("assay", "rung-1"),
    "sweep": ("sweep", "rung-1"),
    "circuit": ("circuit", "rung-1"),
    "heads": ("heads", "rung-1"),
    "rewrite": ("rewrite", "rung-1"),
    "sizes": ("sizes", "rung-1", "rung-2", "rung-3"),
    "tasks": ("tasks", "rung-1"),
    "gap": ("gap",),
    "demo": ("demo",),
    "family": ("family", "rung-1", "rung-2", "rung-3"),
    "bars table": ("bars", "table"),
    "ladder train": ("ladder", "train"),
    "behaviours": ("behaviours", "rung-1"),
}
FILES = ("assay", "sweep", "circuit", "rewrite", "sizes", "tasks", "gap", "demo", "family")
KEEPING = tuple(name for name in FILES if name not in ("assay", "demo"))
DRAWING = [name for name in COMMANDS if name not in ("demo", "bars table", "ladder train")]
TEXTS = ("assay", "sweep", "circuit", "heads", "rewrite", "sizes", "tasks", "gap", "family")

BAD: dict[str, list[str]] = {
    "assay": ["--singles -5", "--singles 1.5", "--top 0", "--documents 0", "--fit-documents 0",
              "--block 1", "--explanation nobody", "--explanation nowhere.py",
              "--explanation claims.py:nobody", "--explanation nowhere.py:x",
              "--text repeats --text nowhere.txt"],
    "sweep": ["--documents 6", "--documents 9", "--fit-documents 0", "--block 1",
              "--ablation nope", "--ablation Mean", "--ablation patch", "--measure nope",
              "--measure kl", "--measure 'logit difference'", "--method nope", "--sample -5",
              "--sample 4", "--keep 0", "--keep -1", "--pairs -1", "--swapped", "--memory 0",
              "--memory -1", "--memory nan", "--workers -1", "--text nowhere.jsonl"],
    "circuit": ["--pairs -1", "--pairs 1", "--fit-pairs 1", "--method nope", "--steps 0",
                "--method eap --method eap", "--draws 0", "--compare nowhere.json",
                "--compare a/x.json --compare b/x.json", "--text webmix", "--text prose.txt",
                "--graph x.json --record x.json", "--graph circuit.html", "--graph file/x.json"],
    "heads": ["--documents 0", "--block 1", "--show 0", "--show -1", "--ablate -1"],
    "rewrite": ["--draws 0", "--program nowhere.py", "--program nobody", "--documents 0"],
    "sizes": ["--documents 0", "rung-1", "rung-9"],
    "tasks": ["--weak rung-9", "--documents 0"],
    "gap": ["--share 2", "--share -0.1", "--weak rung-4", "--weak rung-9", "--by rung-4 rung-3",
            "--by rung-9 rung-8", "--by rung-5 rung-5", "--explanation nowhere.py"],
    "demo": ["--documents 0"],
    "family": ["--documents 0", "--characters 100", "--characters -1", "--place nobody",
                   "--place rung-1", "nobody=1e20", "rung-1=0", "x=y"],
    "bars table": ["--fraction 2", "--fraction -1", "--curve nope", "--baseline nope",
                   "--baseline mine=nan", "--strong -1", "--weak -5", "--strong 1 --weak 2"],
    "ladder train": ["rung-9", "--jobs 0"],
    "behaviours": ["--pairs 1", "--pairs -1"],
}  # fmt: skip


def cases() -> list[tuple[str, str]]:
    found = [(name, bad) for name, options in BAD.items() for bad in options]
    found += [(name, "--seed -1") for name in DRAWING]
    found += [(name, "--seed 1.5") for name in DRAWING]
    for name in FILES:
        found += [
            (name, "--report same --record same"), (name, "--report x/../same --record ./same"),
            (name, "--report file/x.html"), (name, "--record ."), (name, "--record /dev/null"),
        ]  # fmt: skip
    found += [(name, "--run file") for name in KEEPING]
    found += [(name, "--run file/below") for name in KEEPING]
    for name in TEXTS:
        found += [
            (name, "--text nowhere.txt"),
            (name, "--text nobody"),
            (name, f"--text {'x' * 300}"),
        ]
    return found


@pytest.mark.parametrize(("command", "bad"), cases(), ids=lambda words: str(words)[:40])
def test_what_needs_no_model_is_refused_before_one_is_loaded(
    command: str, bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shlex

    def loaded(name: str, **more: object) -> None:
        if name in ("nobody", "rung-9", "rung-8"):
            load(name)  # refuses it by name, and loads nothing
        raise WasLoaded(name)

    monkeypatch.setattr(ux, "load", loaded)
    base = (
        COMMANDS[command][:1]
        if command == "sizes" and bad.startswith("rung")
        else COMMANDS[command]
    )
    error = outcome(*base, *shlex.split(bad))
    assert isinstance(error, UnexplainedError | SystemExit), error


@pytest.mark.parametrize("command", sorted(DRAWING))
def test_what_can_be_measured_gets_as_far_as_the_model(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the refusals above would say nothing."""

    def loaded(name: str, **more: object) -> None:
        raise WasLoaded(name)

    for home in (ux, members, subject):
        monkeypatch.setattr(home, "load", loaded)
    text = {"circuit": "ioi", "family": "prose.txt"}.get(command, "repeats")
    words = () if command == "behaviours" else ("--text", text)
    assert isinstance(outcome(*COMMANDS[command], *words), WasLoaded)


@pytest.mark.parametrize(
    "words",
    [
        ("assay", "rung-1", "--heads", "L9.H9", *FEW),
        ("assay", "rung-1", "--heads", "L0.mlp", *FEW),
        ("assay", "rung-1", "--heads", "L0.H0.q", *FEW),
        ("assay", "rung-1", "--heads", "L0.blob", *FEW),
        ("assay", "rung-1", "--explanation", "claims.py:of_mlps", *FEW),
        ("assay", "rung-1", "--explanation", "claims.py:program", *FEW),
        ("assay", "rung-1", "--explanation", "strict_induction", "--explanation",
         "strict-induction", *FEW),
        ("assay", "rung-1", "--text", "repeats", *FEW),
        ("sweep", "rung-1", "L9.H9", *FEW),
        ("sweep", "rung-1", "L0.H0.pattern", *FEW),
        ("sweep", "rung-1", "--method", "race", "--sample", "8", *FEW),
        ("sweep", "rung-1", "--method", "control variates", "--measure", "KL", *FEW),
        ("rewrite", "rung-1", "L9.H9", *FEW),
        ("rewrite", "rung-1", "--sites", "L9.H9", *FEW),
        ("rewrite", "rung-1", "--sites", "L0.H0.q", *FEW),
        ("rewrite", "rung-1", "--program", "claims.py:of_mlps", *FEW),
        ("tasks", "rung-1", "--sites", "L9.H9", *FEW),
        ("tasks", "rung-2", "--weak", "rung-2", *FEW),
        ("tasks", "rung-1", "--task", "nobody", *FEW),
        ("gap", "--sites", "L9.H9", *FEW),
        ("gap", "--sites", "L0.H0", "--explanation", "claims.py:of_mlps", *FEW),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_the_model_does_not_have_is_refused_before_it_is_run(words: tuple[str, ...]) -> None:
    assert isinstance(outcome(*words), UnexplainedError | SystemExit)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("gap rung-2 --by a,b --share 0.1", "'a,b' is one word"),
        ("gap rung-2 --by rung-2-seed-1 --share 0.1", "'--share' is an option of its own"),
        ("sweep rung-1 L0.H0 --report --no-gate", "'--no-gate' is an option of its own"),
        ("sweep rung-1 L0.H0 --record --text=repeats", "'--text=repeats' is an option"),
        ("assay rung-1 --report --help", "'--help' is an option of its own"),
        ("bars table --curve --baseline mine=3", "'--baseline' is an option of its own"),
    ],
)
def test_no_option_takes_another_one_for_its_value(words: str, says: str, tmp_path: Path) -> None:
    result = RUN.invoke(app, words.split(), env={"COLUMNS": "200"})
    assert result.exit_code == 2 and says in result.output, result.output
    assert not list(tmp_path.glob("--*"))


def test_a_value_that_begins_with_a_dash_is_a_value_where_no_option_is_called_so() -> None:
    for words in (["gap", "--share", "-0.1"], ["gap", "rung-2", "--report=--share"],
                  ["sizes", "--", "--share"]):  # fmt: skip
        result = RUN.invoke(app, words, env={"COLUMNS": "200"})
        assert "an option of its own" not in result.output


def test_a_sentence_for_python_and_the_command_line_says_one_of_the_two() -> None:
    options = options_of(["circuit", "rung-1"])
    for said, told in (
        ("Ask for 12 prompts or more (pairs=…; --pairs).", "Ask for 12 prompts or more (--pairs)."),
        ("leave out the gate (gated=False; --no-gate).", "leave out the gate (--no-gate)."),
        ("longer (128 now: block=…; --block), or", "longer (128 now: --block), or"),
        ("(fit_pairs=…; --fit-pairs, --fit-documents)", "(--fit-pairs, --fit-documents)"),
    ):
        assert in_options(said, options) == told


def test_the_table_of_bars_rounds_nothing_to_all_or_none_and_gives_one_reason() -> None:
    near = RUN.invoke(app, ["bars", "table", "--curve", "kaplan", "--strong", "1e25", "--weak",
                            "9.99e24", "--fraction", "0.99999"], env={"COLUMNS": "200"})  # fmt: skip
    rows = [line.split() for line in near.output.splitlines() if line.startswith("kaplan*")]
    assert len(rows) == 3
    for row in rows:
        cells = [float(cell.rstrip("*")) for cell in row[2:]]
        assert all(0 < cell < 1 for cell in cells), row
    below = RUN.invoke(app, ["bars", "table", "--curve", "kaplan", "--baseline", "mine=1"],
                       env={"COLUMNS": "200"})  # fmt: skip
    assert below.output.count("– refused: the baseline 'mine'") == 1
    assert "–*" not in below.output
    for twice in (
        ["--baseline", "unigram"] * 2,
        ["--curve", "kaplan"] * 2,
        ["--fraction", "1"] * 2,
    ):
        assert isinstance(outcome("bars", "table", *twice), UnexplainedError)


def test_the_table_of_bars_takes_no_nought_for_nothing_given_and_tells_near_fractions_apart() -> (
    None
):
    for option in ("--strong", "--weak", "--fraction"):
        found = outcome("bars", "table", option, "0")
        assert isinstance(found, UnexplainedError) and option in str(found)
    near = RUN.invoke(app, ["bars", "table", "--curve", "kaplan", "--fraction", "1",
                            "--fraction", "0.9999999"], env={"COLUMNS": "200"})  # fmt: skip
    assert near.exit_code == 0 and " 1 " in near.output and "0.9999999" in near.output


def test_errors_name_the_options_of_the_command_that_was_called() -> None:
    options = options_of(["sweep", "rung-1", "--fit-documents", "3"])
    said = "fit_documents=1 and pairs=-1: gate=… or methods='eap ig' need nothing, nor x=3"
    told = "--fit-documents 1 and --pairs -1: gate=… or --method 'eap ig' need nothing, nor x=3"
    assert in_options(said, {**options, "gate": ""}) == told
    assert options_of(["family", "x"])["characters"] == "--characters"
    assert "record" not in options_of(["report", "sweep"])
    assert in_options("a==b, --steps=5, my_steps=5", {"steps": "--steps"}) == (
        "a==b, --steps=5, my_steps=5"
    )
