"""Laws of every case in the casebook."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from pathlib import Path

import pytest
from typer.testing import CliRunner

import unexplained as ux
from measured import CASES, LEAN, model, record_of, words
from unexplained.cli.app import app
from unexplained.errors import MeasurementError
from unexplained.record.blocks import Answer
from unexplained.study import CASEBOOK, Run, answer_of, part

FOLDER = Path(inspect.getfile(ux)).parent / "casebook"
PUBLIC = {"unexplained", "unexplained.study", "unexplained.record", "unexplained.record.blocks",
          "unexplained.errors"}  # fmt: skip


@pytest.mark.parametrize("file", sorted(FOLDER.glob("[a-z]*.py")), ids=lambda file: file.stem)
def test_a_case_uses_public_doors_alone(file: Path) -> None:
    """If it needs another, the package's face lacks something."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unexplained"):
            assert node.module in PUBLIC, node.module
            assert not any(name.name.startswith("_") for name in node.names)
        if isinstance(node, ast.Import):
            assert all(n.name in PUBLIC or not n.name.startswith("unexplained") for n in node.names)


@pytest.mark.parametrize("name", CASES)
def test_a_case_says_what_is_claimed_and_its_record_shows_it(name: str) -> None:
    case = CASEBOOK.get(name)
    said = [getattr(case.card, field.name) for field in dataclasses.fields(case.card)]
    assert all((len(words.split()) > 3 and words.endswith((".", "?", ")"))) or i == 1
               for i, words in enumerate(said))  # fmt: skip
    record = record_of(name)
    assert isinstance(record.blocks[0], Answer) and record.instrument == name
    assert record.blocks[0].rows, "the first screen answers"
    shown = [row.cells[0] for row in case.card.rows()]
    assert shown == said and case.card.section() in record.blocks
    for parameter in case.parameters:
        assert f"    {parameter.name}: " in (inspect.getdoc(case.function) or "")


def test_cases_are_listed_and_a_near_miss_is_named() -> None:
    listed = CliRunner().invoke(app, ["casebook"])
    assert listed.exit_code == 0 and all(name in listed.output for name in CASES)
    near = CliRunner().invoke(app, ["casebook", "inductio", "rung-2"])
    assert near.exit_code == 2 and "induction" in near.output


def test_a_case_whose_components_do_not_exist_says_what_it_looked_for() -> None:
    with pytest.raises(MeasurementError, match="30% of its attention there; the nearest is L"):
        CASEBOOK.get("induction")(model(), words(), settings=LEAN, folder=None)


def test_an_instrument_within_a_run_is_a_part_of_its_record() -> None:
    run = Run(model(), (words(),), LEAN)
    record = ux.repair.within(run, sites="L0.H0", ablation="zero")
    assert record.title == "Self-repair in rung-2" and record.subject == "rung-2"
    inner, outer = answer_of("mine", record), part("mine", "Repair", record)
    rows = [cell for row in (*inner.rows, *inner.beside) for cell in row.cells if cell]
    assert rows and all(cell.startswith("mine/") for cell in rows)
    assert not any(isinstance(block, Answer) for block in outer.blocks)
    with pytest.raises(TypeError, match="no parameter nonsense"):
        ux.repair.within(run, nonsense=1)
