"""Numbers taken elsewhere: data frames, figures, one line, and what changed between two records."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import unexplained as ux
from sample_blocks import everything
from sample_record import sample_record
from unexplained.cli.app import app
from unexplained.console import Visible
from unexplained.errors import RecordError
from unexplained.record import Number, Record
from unexplained.record.blocks import Column, Prose, Row, Section, Table
from unexplained.record.difference import Change, difference
from unexplained.record.ids import walk
from unexplained.record.keys import below
from unexplained.report import text_table


def test_models_texts_settings_and_instruments_are_one_line_in_a_shell() -> None:
    subject = ux.load("rung-1")
    text = ux.text("pydocs", subject, documents=8, fit_documents=8)
    for one in (subject, text, ux.Settings(), ux.gap, ux.sweep):
        assert len(repr(one)) <= 200 and "\n" not in repr(one), one
    assert "rung-1" in repr(subject) and "8 documents" in repr(text)


def block_ids(record: Record) -> list[str]:
    return [
        below(above, block.key)
        for above, block in walk(record.blocks)
        if not isinstance(block, Prose | Section)
    ]


def test_a_notebook_shows_a_figure_by_itself() -> None:
    """Without pyplot Jupyter knows no way to draw it, and would print where it lies in memory."""
    assert sample_record().figure()._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_every_type_of_block_has_a_figure_with_its_numbers() -> None:
    record = everything()
    kinds = set()
    for where in block_ids(record):
        made = record.figure(where)
        (axes, *_) = made.axes
        assert axes.has_data(), where
        made.savefig(Path("/dev/null"), format="svg")
        kinds |= {
            b.block
            for a, b in walk(record.blocks)
            if getattr(b, "key", None) and below(a, b.key) == where
        }  # type: ignore[union-attr]
    assert kinds >= {"table", "forest", "grid", "chart", "compute", "tokens", "checks"}


def test_a_table_of_words_has_no_figure_and_one_of_bare_numbers_has_theirs() -> None:
    """It was an empty one that said that every number was refused, of a table that has none."""
    table = Table(
        key="t", columns=(Column(key="says", heading="Says", words=True), Column(key="n", heading="N")),
        rows=tuple(Row(key=name, name=name, cells=(name, None)) for name in ("a", "b")),
    )  # fmt: skip
    bare = table.model_copy(
        update={"key": "bare", "rows": tuple(row.model_copy(update={"cells": (row.name, i + 0.5)})
                                             for i, row in enumerate(table.rows))}
    )  # fmt: skip
    record = everything()
    record = record.model_copy(update={"blocks": (*record.blocks, table, bare)})
    with pytest.raises(RecordError, match="no block of that id with numbers"):
        record.figure("t")
    with warnings.catch_warnings(action="error"):
        (axes,) = record.figure("bare").axes
    assert [*axes.containers[0].lines[0].get_xdata()] == [0.5, 1.5]


def test_a_figure_draws_the_values_and_ends_of_the_numbers() -> None:
    record = everything()
    made = record.figure("main/numbers")
    (container,) = made.axes[0].containers
    table = next(b for _, b in walk(record.blocks) if isinstance(b, Table) and b.key == "numbers")
    cells = [row.cells[0] for row in table.rows]
    drawn = [(p[0][0], p[1][0]) for p in container.lines[2][0].get_segments()]
    wanted = [(n.low, n.high) for n in cells if isinstance(n, Number) and n.value is not None]
    assert np.allclose(drawn, wanted)
    labels = [tick.get_text() for tick in made.axes[0].get_yticklabels()]
    assert len(labels) == len(table.rows)


def test_an_id_that_no_block_has_is_refused_with_near_ones() -> None:
    with pytest.raises(RecordError, match="no block of that id"):
        everything().figure("numberz")
    with pytest.raises(RecordError, match="has none of that id"):
        everything()["nothing/of/it"]


def number(
    value: float | None, low: float | None = None, high: float | None = None, **more: Any
) -> Number:
    return Number(value=value, low=low, high=high, **more)


def test_a_change_has_the_interval_of_two_independent_measurements() -> None:
    """By hand: the distances of the ends are the legs of a triangle with sides 3, 4 and 5."""
    one = Change("x", "x", number(10.0, 6.0, 14.0), number(20.0, 17.0, 23.0)).change
    assert (one.value, one.low, one.high) == (10.0, 5.0, 15.0)


def test_changes_are_told_apart_by_noise_and_refusals_are_named() -> None:
    a, b = number(1.0, 0.9, 1.1), number(2.0, 1.9, 2.1)
    assert Change("x", "x", a, b).beyond is True
    assert Change("x", "x", a, number(1.05, 0.95, 1.15)).beyond is False
    assert Change("x", "x", a, number(5.0)).beyond is None
    assert Change("x", "x", a, a).beyond is False
    refused = Change("x", "x", a, number(None, refused="no damage")).change
    assert refused.value is None and refused.refused == "after: no damage"
    other = Change("x", "x", a, number(2.0, 1.9, 2.1, unit="bits")).change
    assert other.value is None and "units differ" in other.refused


def test_two_records_are_compared_by_their_ids(tmp_path: Path) -> None:
    record = everything()
    data = json.loads(record.to_json())
    table = next(b for b in _tables(data["blocks"]) if b["key"] == "numbers")
    table["rows"][0]["cells"][0]["value"] += 100.0
    table["rows"][0]["cells"][0]["low"] += 100.0
    table["rows"][0]["cells"][0]["high"] += 100.0
    data["seed"] = 7
    changed = Record.model_validate(data)
    found = difference(record, changed)
    (one,) = found.changes
    assert one.where.endswith("numbers/mine/loss") and one.beyond
    assert found.headers == {"seed": (str(record.seed), "7")}
    assert found.same == len(dict(record.numbers())) - 1 and not found.gone and not found.new
    assert not difference(record, record).changes
    paths = [record.save(tmp_path / "a.json"), changed.save(tmp_path / "b.json")]
    said = CliRunner().invoke(app, ["diff", *map(str, paths)]).output
    assert "1 numbers changed (1 beyond noise" in " ".join(said.split())
    assert ", Loss: " in " ".join(said.split()) and "Unpaired" in said
    full = CliRunner().invoke(app, ["diff", *map(str, paths), "--full"]).output
    assert "numbers/mine/loss" in "".join(full.split())


def _tables(blocks: list[Any]) -> list[Any]:
    found = []
    for block in blocks:
        if block["block"] == "table":
            found.append(block)
        found += _tables(block.get("blocks", []))
    return found


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_a_difference_is_said_in_words_on_one_screen(
    columns: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unexplained.cli import diff, shared

    record = sample_record()

    def moved(cell: Any) -> Any:
        if not isinstance(cell, Number) or cell.value is None:
            return cell
        ends = {end: getattr(cell, end) for end in ("low", "high")}
        by = 9 * abs(max((v or 0.0) for v in (cell.value, *ends.values()))) + 1
        return cell.model_copy(
            update={"value": cell.value + by, **{k: v and v + by for k, v in ends.items()}}
        )

    def of(block: Any) -> Any:
        if hasattr(block, "blocks"):
            return block.model_copy(update={"blocks": tuple(map(of, block.blocks))})
        if getattr(block, "block", "") != "table":
            return block
        rows = tuple(r.model_copy(update={"cells": tuple(map(moved, r.cells))}) for r in block.rows)
        return block.model_copy(update={"rows": rows})

    other = record.model_copy(
        update={
            "blocks": tuple(map(of, record.blocks)),
            "verdict": "Something else entirely. " * 40,
            "sheet": {f"Text {i}": str(i) for i in range(9)},
        }
    )
    paths = [tmp_path / name for name in ("a.json", "b.json")]
    for one, path in zip((record, other), paths, strict=True):
        one.save(path)
    monkeypatch.setattr(diff, "OUT", Visible(width=int(columns)))
    monkeypatch.setattr(shared, "OUT", diff.OUT)
    said = CliRunner().invoke(app, ["diff", *map(str, paths)], env={"COLUMNS": columns}).output
    lines = said.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= int(columns)
    assert "more beyond noise: --full." in said
    flat = " ".join(said.split())
    assert "webmix" in flat and "text-1/" not in flat
    assert len(CliRunner().invoke(app, ["diff", *map(str, paths), "--full"]).output) > len(said)


def test_what_ablation_costs_is_not_said_to_be_recovered() -> None:
    """With several texts a cost stands with its text, not under the heading of the fractions."""
    told = text_table(sample_record(), columns=120)
    (cost,) = [line for line in told.splitlines() if line.startswith("What mean ablation costs")]
    assert "Recovered" not in cost and "(repeats)" in told
