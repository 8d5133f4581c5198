"""Refused before anything loads, said the same on every surface, and found again from a notebook."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import unexplained as ux
from measured import model, words
from mutants import MUTANTS
from sample_blocks import everything
from sample_circuit import sample_circuit
from sample_record import sample_record
from sample_sweep import sample_sweep
from test_report import words_of
from unexplained import opening
from unexplained.cli.app import app
from unexplained.errors import MeasurementError, RecordError, SiteError, SubjectError
from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.heads import HeadScore
from unexplained.record.ids import walk
from unexplained.report import render, text_table
from unexplained.sites import Shape, parse
from unexplained.study.call import called
from unexplained.study.given import Claims
from unexplained.study.run import Run
from unexplained.study.tasks import TaskText

SOURCES = Path(ux.__file__).parent


def command(*words: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.argv[0] = 'unexplained'; from unexplained.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True,
                          check=False, env={**os.environ, "COLUMNS": "200"})  # fmt: skip


def test_what_is_a_question_has_no_full_stop_and_other_commands_are_named() -> None:
    near = command("sweap", "rung-1")
    assert near.returncode == 2 and "Did you mean 'sweep'?\n" in near.stderr
    far = command("bars", "nope")
    assert "There are: " in far.stderr and "table" in far.stderr


def test_a_gpu_that_is_not_there_is_refused_before_torch_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "NODES", ())
    monkeypatch.setattr(opening.sys, "platform", "linux")
    for device in ("cuda", "cuda:1"):
        with pytest.raises(SubjectError, match="no GPU is there"), opening.opening(device):
            pass
    with opening.opening("cpu"), opening.opening(None):
        pass
    monkeypatch.setattr(opening, "NODES", ("/",))
    with opening.opening("cuda"):
        pass
    code = (
        "import sys, unexplained.opening as o; o.NODES = (); sys.platform = 'linux'\n"
        "sys.argv = ['unexplained', 'sweep', 'rung-1', '--device', 'cuda']\n"
        "from unexplained.cli import main\n"
        "try: main()\nexcept SystemExit: print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False" and "no GPU is there" in found.stderr


@pytest.mark.parametrize("words", [
    ["sweep", "rung-1"], ["circuit", "rung-1"], ["assay", "rung-1", "--heads", "L0.H0"],
])  # fmt: skip
def test_single_effects_in_half_precision_are_refused_before_a_model_is_loaded(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*asked: object, **how: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(ux, "load", load)
    said = CliRunner().invoke(app, [*words, "--dtype", "float16"])
    assert isinstance(said.exception, MeasurementError)
    assert "float16" in str(said.exception) and "--dtype float32" in str(said.exception)


def test_headings_have_the_same_brackets_on_the_page_and_in_the_terminal() -> None:
    circuit = sample_circuit()
    for shown in (words_of(render(circuit)), " ".join(text_table(circuit, full=True).split())):
        assert "(0.1%)" in shown
    assert "<small>(0.1%)</small>" in render(circuit)


def test_beside_an_answer_on_two_texts_it_is_said_of_which_the_lines_are() -> None:
    page = words_of(render(sample_record()))
    assert "Lines are of “Recovered on webmix” alone." in page
    alone = sample_record()
    (first, *rest) = alone.blocks
    one = first.model_copy(
        update={
            "columns": first.columns[:1],  # type: ignore[union-attr]
            "rows": tuple(r.model_copy(update={"cells": r.cells[:1]}) for r in first.rows),  # type: ignore[union-attr]
            "beside": (),
        }
    )
    page = words_of(render(alone.model_copy(update={"blocks": (one, *rest)})))
    assert "Lines are of" not in page


def test_q_is_said_where_it_stands() -> None:
    record = sample_sweep()
    for shown in (text_table(record, columns=60), words_of(render(record))):
        assert "q: the share of chance findings" in " ".join(shown.split())


def test_minus_signs_are_alike_on_every_surface() -> None:
    for record in (sample_sweep(), sample_circuit(), sample_record()):
        for shown in (text_table(record, full=True), words_of(render(record)), record.verdict):
            assert not re.search(r"(?<![\w-])-\d", shown.replace("-seed-", "")), record.title


# From Python


@ux.explanation(gives="pattern", reads=["tokens"])
def halfway(view: ux.View) -> object:
    """Look at the first token."""
    return ux.patterns.evenly(view.blank.bool() | True)


def test_how_to_reproduce_is_the_call_with_its_explanations_code() -> None:
    run = Run(model(), (words(),), ux.Settings(seed=3))
    given = {p.name: p.default for p in ux.assay.parameters}
    given |= {"sites": "L0.H0", "explanations": [halfway, ux.LIBRARY.get("previous_token")],
              "twin": False}  # fmt: skip
    code = called(ux.assay, run, given)
    assert code.startswith("import unexplained as ux\n")
    assert '@ux.explanation(gives="pattern", reads=["tokens"])\ndef halfway(view: ux.View)' in code
    assert "subject = ux.load('rung-2')" in code
    assert "text = ux.text('pydocs', subject, documents=12, fit_documents=12, block=32)" in code
    assert code.endswith(
        "record = ux.assay(subject, 'L0.H0', text, "
        "explanations=[halfway, ux.LIBRARY.get('previous_token')], twin=False, "
        "settings=ux.Settings(seed=3))"
    )
    assert "singles" not in code and "top" not in code.split("record =")[1]
    compile(code, "reproduce", "exec")


def test_of_a_claim_without_source_it_is_said_what_is_to_be_defined_and_no_bytecode() -> None:
    scope: dict[str, Any] = {"ux": ux}
    exec(
        "@ux.explanation(gives='pattern', reads=['tokens'])\n"
        "def typed(view):\n    'Look nowhere.'\n    return view.blank * 0\n",
        scope,
    )
    given = {p.name: p.default for p in ux.assay.parameters}
    given |= {"sites": "L0.H0", "explanations": [scope["typed"].affine()]}
    code = called(ux.assay, Run(model(), (words(),), ux.Settings()), given)
    assert (
        "\n# Define 'typed' first: the Explanation (gives='pattern', reads=['tokens']) of which"
        in code
    )
    assert code.endswith("explanations=[typed.affine()])")
    compile(code, "reproduce", "exec")


def test_one_explanation_is_taken_where_several_can_be_given() -> None:
    (found,) = Claims("").resolved(halfway, {})
    assert found is halfway and Claims("").resolved([halfway, "previous_token"], {})[0] is halfway


FARAWAY, FIRST = torch.tensor([3]), 0


def from_first(view: ux.View) -> object:
    """Where a helper's constant says."""
    return torch.zeros_like(view.blank) + FIRST + FARAWAY


@ux.explanation(gives="pattern", reads=["tokens"])
def with_helpers(view: ux.View) -> Any:
    """Look where a helper says."""
    return ux.patterns.evenly(from_first(view).bool())


def test_how_to_reproduce_defines_what_it_names_or_says_what_is_to_be_defined() -> None:
    """Helpers, constants, imports, scores and tasks of the package; of an array it says so."""
    subject, text = model(), words()
    given = {p.name: p.default for p in ux.assay.parameters}
    scores = [HeadScore(site="L0.H0", induction=0.5, previous_token=0.25, duplicate_token=0.0)]
    given |= {"sites": "L0.H0", "explanations": [with_helpers], "heads": scores}
    code = called(ux.assay, Run(subject, (text,), ux.Settings()), given)
    assert "import torch\n" in code and "\nFIRST = 0\n" in code and "def from_first" in code
    assert "\nfrom typing import Any\n" in code
    said = "# Define 'FARAWAY' first: the Tensor that 'from_first' reads in test_small_faults.py."
    assert said in code and code.index(said) < code.index("def from_first") < code.index("@ux")
    assert "heads=[HeadScore(site='L0.H0', induction=0.5, previous_token=0.25, " in code
    scope: dict[str, Any] = {}
    exec(compile(code.partition("subject = ")[0], "reproduce", "exec"), scope)
    assert scope["HeadScore"] is HeadScore and scope["with_helpers"].function is not None

    of_tasks = {p.name: p.default for p in ux.tasks.parameters}
    of_tasks["asked"] = [
        TaskText("all", text),
        TaskText("web", text, "a domain", ("domain", "web")),
    ]
    code = called(ux.tasks, Run(subject, (text,), ux.Settings()), of_tasks)
    assert code.endswith(
        "record = ux.tasks(subject, text, asked=[TaskText(name='all', text=text), "
        "TaskText(name='web', text=text, says='a domain', stratum=('domain', 'web'))])"
    )
    sizes = {p.name: p.default for p in ux.sizes.parameters} | {"rungs": {subject: 1e9}}
    code = called(ux.sizes, Run(None, (text,), ux.Settings()), sizes)
    assert "subject = ux.load('rung-2')\ntext = ux.text(" in code
    assert code.endswith("record = ux.sizes({subject: 1000000000.0}, text)")


def test_a_record_made_in_python_has_its_call_and_one_of_the_command_line_its_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    how = {"twin": False, "folder": None, "settings": ux.Settings(resamples=100)}
    monkeypatch.setattr(sys, "argv", ["/home/somebody/ipykernel_launcher.py", "-f", "x.json"])
    mine = ux.sweep(model(), "L0.H0", words(), **how)
    assert mine.command.splitlines()[-1] == "record = ux.sweep(subject, 'L0.H0', text, twin=False)"
    assert "somebody" not in mine.command
    monkeypatch.setattr(sys, "argv", ["/usr/bin/unexplained", "sweep", "rung-2"])
    assert ux.sweep(model(), "L0.H0", words(), **how).command == "unexplained sweep rung-2"


def test_a_record_that_is_named_wrongly_names_near_files(tmp_path: Path) -> None:
    everything().save(tmp_path / "sweep-rung-2.json")
    with pytest.raises(RecordError, match=r"Did you mean sweep-rung-2\.json\?"):
        ux.load_record(tmp_path / "sweep-rung2.json")


def test_a_figure_says_of_what_its_numbers_are() -> None:
    """A forest has no title of its own: that of its section names the ablation it is against."""
    record = sample_record()
    title = record.figure("text-1/recovered/forest").get_suptitle()
    section = next(one for _, one in walk(record.blocks) if getattr(one, "key", "") == "recovered")
    assert title == section.title and "against" in title


def test_a_note_of_what_a_figure_leaves_out_takes_no_room_of_its_axes() -> None:
    """However long: an answer in two units draws the first's rows alone, and names the others below."""
    path = SOURCES.parents[1] / "benchmarks" / "results" / "example-suppression.json"
    figure = ux.load_record(path).figure()
    figure.draw_without_rendering()
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    said = " ".join(figure.get_supxlabel().split())
    assert "of another unit: L0.H0, Head's worth, " in said and "refused: L2.H1, In loss" in said
    assert names and not [name for name in names if "worth" in name]
    assert axes.get_position().width > 0.6


def test_a_figure_of_shares_has_the_pages_axis_and_arrows_for_what_lies_beyond() -> None:
    record = sample_record()
    axes = record.figure("text-1/recovered/forest").axes[0]
    low, high = axes.get_xlim()
    assert -0.5 <= low < 0 and 1 < high <= 1.5
    assert all(tick.get_text().endswith("%") for tick in axes.get_xticklabels())
    beyond = [
        (value[0], line.get_marker())
        for line in axes.lines
        for value in [line.get_xdata()]
        if line.get_marker() in ("<", ">")
    ]
    assert beyond and set(beyond) <= {(low, "<"), (high, ">")}


def test_an_address_in_anothers_spelling_is_answered_by_ours() -> None:
    shape = Shape(layers=2, heads=2, key_heads=1, head_size=4, width=8, neurons=3, vocabulary=5)
    for asked, meant in (("L1H0", "L1.H0"), ("l1h0", "L1.H0"), ("L1N2", "L1.N2")):
        with pytest.raises(SiteError, match=f"Did you mean {meant}"):
            parse(asked, shape)


@pytest.mark.parametrize(("command", "kinds"), [("assay", ".parquet"), ("circuit", ".jsonl")])
def test_a_file_that_is_not_there_is_said_to_be_none(command: str, kinds: str) -> None:
    """Not answered by names of behaviours, which nobody asked for."""
    said = CliRunner().invoke(app, [command, "rung-2", "--text", "nofile.txt"])
    said = " ".join(f"{said.output} {said.exception}".split())
    assert "there is no such file" in said and kinds in said and "antonyms" not in said


def test_advice_in_both_languages_is_written_so_that_the_command_line_keeps_its_own() -> None:
    """`in_options` knows Python's name first: the other way round it named the option twice."""
    told = re.compile(r"--[a-z-]+[;,] in Python")
    found = [path.name for path in SOURCES.rglob("*.py") if told.search(path.read_text("utf-8"))]
    assert not found


def test_every_mutant_still_applies_once() -> None:
    """What moves or is reworded takes its mutants along: one that does not apply proves nothing."""
    lost = [
        (number, one.file, one.right)
        for number, one in enumerate(MUTANTS)
        if (SOURCES / one.file).read_text("utf-8").count(one.right) != 1
    ]
    assert not lost


def test_an_estimate_and_the_ends_of_its_interval_have_the_same_decimals() -> None:
    """1.05 was written as 1, beside 0.91 and 1.2."""
    for value, low, high, said in (
        (1.05, 0.91, 1.2, "1.05 [0.91, 1.20]"),
        (1.0, 0.95, 1.04, "1.000 [0.950, 1.040]"),
        (12.0, 3.0, 40.0, "12 [3, 40]"),
    ):
        assert fmt.written(Number(value=value, low=low, high=high)) == said


def test_an_interval_that_excludes_nothing_or_all_is_not_written_as_if_it_held_them() -> None:
    """10% [0.19%, 19.4%] was written 10% [0%, 19%], and 92% [87%, 99.5%] ended at 100%."""
    for value, low, high, unit, said in (
        (0.097, 0.0019, 0.194, "share", "9.7% [0.2%, 19.4%]"),
        (0.92, 0.87, 0.9951, "share", "92.0% [87.0%, 99.5%]"),
        (-0.12, -0.24, -0.0022, "nats per token", "−0.120 [−0.240, −0.002]"),
        (2.4, 0.4, 40.0, "times", "2.4 [0.4, 40.0]"),
        (0.5, 0.0, 1.0, "share", "50% [0%, 100%]"),
        (0.5, 1e-9, 1.0, "share", "50% [0%, 100%]"),  # nothing that six decimals could tell from 0
    ):
        assert str(fmt.show(Number(value=value, low=low, high=high, unit=unit))) == said


def test_a_verdict_gives_a_number_the_decimals_that_its_table_gives_it() -> None:
    """The first screen said 0.052 [0.036, 0.069] and, below it, 0.0521 [0.0356, 0.0685]."""
    for value, low, high in (
        (0.0521, 0.0356, 0.0685),
        (3.66, 3.44, 3.79),
        (12.3, 9.1, 15.2),
        (140.0, 80.0, 210.0),
    ):
        number = Number(value=value, low=low, high=high, unit="nats per token")
        assert fmt.written(number) == str(fmt.show(number))
    share = Number(value=0.41, low=-0.27, high=0.85, unit="share")
    assert fmt.written(share, scale=100, mark="%") == str(fmt.show(share))
