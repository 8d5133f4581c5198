"""Laws of what is shown: every number once in its labelled cell, on every surface, or its reason.

They hold of the record that every registered instrument gives, whoever does its work, and of one by hand
that has every type of block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from measured import CASES, NAMES, called, folder, record_of
from sample_blocks import everything
from test_report import PAYLOAD, Elements, assert_harmless
from unexplained.errors import RecordError
from unexplained.evaluate.evaluate import in_process
from unexplained.evaluate.job import Job
from unexplained.evaluate.work import Task
from unexplained.ledger import Ledger
from unexplained.record import Number, Record, load_record
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Checks,
    Column,
    Row,
    Section,
    Table,
)
from unexplained.record.ids import walk
from unexplained.report import markdown, render, text_table
from unexplained.report.drawn import drawn
from unexplained.report.pen import Pen
from unexplained.study import INSTRUMENTS

EVERYTHING = "everything"
"""A record by hand: every type of block and hostile names."""
AT_ONCE = 6
"""Into how many drawings the numbers of a long record are spread to be refused."""
KEYED = ("key", "marks", "others", "framed", "x", "y", "loss", "weight", "compute", "picture")
"""Fields that hold keys and references, which are data and not words."""
CLOCK = ("measured", "seconds", "took", "command", "ledgers")
"""What alone differs between two records of the same: of the header, none of a block. Ledgers are named where they are kept."""
CLOSED = ("block", "manner", "style", "role", "spacing", "written", "ring", "chosen", "units",
          "needed", "unit", "instrument")  # fmt: skip


@pytest.fixture(params=[EVERYTHING, *NAMES, *CASES])
def record(request: pytest.FixtureRequest) -> Record:
    return everything() if request.param == EVERYTHING else record_of(request.param)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


class Cells(HTMLParser):
    """What stands in elements that name a number."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        self._open: list[tuple[str, int]] = []
        self._depth = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("br", "hr", "img", "input", "link", "meta", "wbr", "col"):
            self._depth += 1
        name = dict(attrs).get("data-id")
        if name is not None:
            self.found.setdefault(name, []).append("")
            self._open.append((name, self._depth))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1][1] == self._depth:
            self._open.pop()
        self._depth -= 1

    def handle_data(self, data: str) -> None:
        if self._open:
            self.found[self._open[-1][0]][-1] += data


def styles(record: Record) -> Iterator[tuple[str, str, str]]:
    """Id, style and name of the row of every number."""
    for above, block in walk(record.blocks):
        home = f"{above}/{getattr(block, 'key', '')}".lstrip("/")
        if isinstance(block, Table):
            for row in block.rows:
                for column, cell in zip(block.columns, row.cells, strict=True):
                    if isinstance(cell, Number):
                        yield f"{home}/{row.key}/{column.key}", column.style, row.name
        elif isinstance(block, Checks):
            for check in block.checks:
                key = f"{home}/{check.name.replace('/', ':')}/{check.text.replace('/', ':')}"
                yield key, "plain", check.name


def with_numbers(record: Record, change: dict[str, Number]) -> Record:
    """The same record with other numbers under some ids."""

    def of(block: Any, above: str) -> Any:
        home = f"{above}/{getattr(block, 'key', '')}".lstrip("/")
        if isinstance(block, Section):
            return block.model_copy(update={"blocks": tuple(of(b, home) for b in block.blocks)})
        if isinstance(block, Table):
            rows = tuple(
                row.model_copy(
                    update={
                        "cells": tuple(
                            change.get(f"{home}/{row.key}/{column.key}", cell)
                            for column, cell in zip(block.columns, row.cells, strict=True)
                        )
                    }
                )
                for row in block.rows
            )
            return block.model_copy(update={"rows": rows})
        if isinstance(block, Checks):
            checks = tuple(
                check.model_copy(
                    update={
                        "found": change.get(
                            f"{home}/{check.name.replace('/', ':')}/{check.text.replace('/', ':')}",
                            check.found,
                        )
                    }
                )
                for check in block.checks
            )
            return block.model_copy(update={"checks": checks})
        return block

    return record.model_copy(update={"blocks": tuple(of(b, "") for b in record.blocks)})


def distinct(record: Record) -> Record:
    """The same record with a value in every cell that stands nowhere else."""
    change = {}
    for i, (where, style, _) in enumerate(styles(record)):
        if style in ("compute", "portion"):
            base = (1.1 + 0.1 * (i % 80)) * 10.0 ** (i // 80 + (-9 if style == "portion" else 40))
            change[where] = Number(value=base, unit="FLOPs" if style == "compute" else "share")
        else:
            value = 0.2 + 0.00037 * i
            ends = {"low": value - 1e-6, "high": value + 1e-6}
            change[where] = Number(value=value, **ends, unit="share" if style != "plain" else "x")
    return with_numbers(record, change)


def squeezed(words: str) -> str:
    return " ".join(words.replace(fmt.MINUS, "-").split())


def times(shown: str, words: str) -> int:
    """How often a number stands in some words that is no part of another."""
    found, at = 0, words.find(shown)
    while at >= 0:
        before, after = words[max(at - 1, 0) : at], words[at + len(shown) : at + len(shown) + 1]
        found += not (before.isdigit() or before == "." or after in set("⁰¹²³⁴⁵⁶⁷⁸⁹"))
        at = words.find(shown, at + 1)
    return found


def test_every_number_stands_once_on_the_page_in_a_cell_that_bears_its_id(record: Record) -> None:
    record = distinct(record)
    cells = Cells(render(record)).found
    numbers = dict(record.numbers())
    shown = {where for where, words in cells.items() if where in numbers}
    assert shown == set(numbers)
    for where, style, _ in styles(record):
        (words,) = cells[where]
        assert squeezed(words).startswith(squeezed(str(fmt.cell(numbers[where], style))))  # type: ignore[arg-type]


def test_every_number_is_once_in_the_terminal_in_full_and_once_in_markdown(record: Record) -> None:
    record = distinct(record)
    numbers = dict(record.numbers())
    terminal, text = squeezed(text_table(record, full=True)), markdown(record)
    for where, style, _ in styles(record):
        shown = str(fmt.cell(numbers[where], style))  # type: ignore[arg-type]
        assert times(squeezed(shown), terminal) == 1, where
        assert times(shown, text) == 1, where


def test_a_number_in_markdown_stands_in_the_row_that_bears_its_name(record: Record) -> None:
    record = distinct(record)
    numbers = dict(record.numbers())
    lines = markdown(record).splitlines()
    for where, style, name in styles(record):
        shown = str(fmt.cell(numbers[where], style))  # type: ignore[arg-type]
        (line,) = [line for line in lines if times(shown, line)]
        first = re.sub(r"\\(.)", r"\1", line).replace("&lt;", "<").replace("&gt;", ">")
        first = " ".join(first.replace("&amp;", "&").lstrip("| ").split())
        assert first.startswith(" ".join(name.split())[:20]), (where, line)


def test_whichever_number_is_refused_its_reason_is_on_every_surface(record: Record) -> None:
    def reason(i: int) -> Number:
        why = f"reason number {i} of this test"
        return Number(value=None, unit="share", refused=why, tokens_needed=12_345)

    numbers = [where for where, _ in record.numbers()]
    # Each alone takes minutes where there are hundreds: then every so many-th at once.
    step = min(len(numbers), AT_ONCE)
    for start in range(step):
        refused = {where: reason(i) for i, where in enumerate(numbers) if i % step == start}
        changed = with_numbers(record, refused)
        surfaces = (render(changed), squeezed(text_table(changed, full=True)), markdown(changed))
        for where, number in refused.items():
            said = f"{number.refused}; it takes at least about 12,345 {record.needed}"
            assert all(said in surface for surface in surfaces), where


def test_a_reason_in_the_short_terminal_belongs_to_a_number_that_stands_there(
    record: Record,
) -> None:
    short = text_table(record)
    notes = re.findall(r"^\[(\d+)\]", short, flags=re.M)
    assert notes == [str(i + 1) for i in range(len(notes))]
    for note in notes:
        assert re.search(rf"\S \[{note}\]", short)  # refused, or without an interval


def test_every_string_may_be_hostile_and_the_page_is_harmless(record: Record) -> None:
    def poisoned(value: Any, name: str = "") -> Any:
        if isinstance(value, str):
            if name in CLOSED or not value:
                return value
            if name in KEYED:
                return "/".join(part + PAYLOAD.replace("/", "") for part in value.split("/"))
            if name == "cells" and "/" in value:
                return "/".join(part + PAYLOAD.replace("/", "") for part in value.split("/"))
            return value + PAYLOAD
        if isinstance(value, dict):
            if name in ("sheet", "versions", "machine", "others"):
                return {f"{k}{PAYLOAD}": poisoned(v) for k, v in value.items()}
            return {k: poisoned(v, k) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [poisoned(item, name) for item in value]
        return value

    dumped = record.model_dump()
    hostile = Record.model_validate(poisoned(dumped))
    assert_harmless(render(hostile))
    for words in (text_table(hostile, full=True), markdown(hostile)):
        assert "\x1b" not in words and "\u202e" not in words
    assert "<script" not in markdown(hostile)


def test_every_link_of_the_page_leads_somewhere_and_no_id_is_used_twice(record: Record) -> None:
    tags = Elements(render(record)).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in tags:
        for name in ("href", "aria-labelledby"):
            if name in attributes and attributes[name] != "data:,":
                assert str(attributes[name]).removeprefix("#") in ids


def test_no_line_of_the_terminal_is_longer_than_the_terminal_and_no_number_is_cut(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = distinct(record)
    numbers = dict(record.numbers())
    for width in (80, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        printed = text_table(record, full=True)
        assert max(map(len, printed.splitlines())) <= width
        printed = squeezed(printed)
        for where, style, _ in styles(record):
            shown = squeezed(str(fmt.cell(numbers[where], style)))  # type: ignore[arg-type]
            assert shown in printed, (width, where)


def test_a_record_read_again_is_the_same(record: Record, tmp_path: Any) -> None:
    again = load_record(record.save(tmp_path / "record.json"))
    assert again == record and render(again) == render(record)


def test_pictures_point_at_numbers_and_show_no_others(record: Record) -> None:
    given = drawn(record)
    pen = Pen(given)
    for above, block in walk(given.record.blocks):
        if block.block == "chart":
            assert pen.plot(block, above) is not None or all(
                None in [given.at(above, end).value for end in (p.x, p.y) if isinstance(end, str)]
                for s in block.series
                for p in s.points
            )


def test_every_number_goes_round_by_frame_arrow_and_json(record: Record, tmp_path: Path) -> None:
    arrow, frame = record.to_arrow(), record.to_pandas()
    again = dict(load_record(record.save(tmp_path / "r.json")).numbers())
    numbers = dict(record.numbers())
    assert arrow.column("id").to_pylist() == list(frame.index) == list(numbers) == list(again)
    for where, number in numbers.items():
        row = frame.loc[where]
        for part in ("value", "low", "high"):
            held = getattr(number, part)
            assert np.isnan(row[part]) if held is None else row[part] == held, where
            assert getattr(again[where], part) == held
        assert (row["unit"], row["refused"]) == (number.unit, number.refused)
        assert row["name"], where


def test_a_record_is_one_line_in_a_shell(record: Record) -> None:
    said = repr(record)
    assert len(said) <= 200 and "\n" not in said


@pytest.mark.parametrize(("rows", "wide", "left"), [(8, 2, 0), (12, 3, 4)])
def test_columns_that_have_no_room_side_by_side_stand_below_their_row_and_what_is_left_out_is_said(
    rows: int, wide: int, left: int
) -> None:
    """Of twelve rows in three columns eight have room: what is said of each, and each under its heading."""
    columns = tuple(
        Column(key=f"c{i}", heading=f"Recovered, {i}", note="12 documents") for i in range(wide)
    )
    cells = [
        [Number(value=v, low=v - 0.01, high=v + 0.01) for v in range(9000 + i, 9000 + i + wide)]
        for i in range(rows)
    ]
    table = Table(
        key="t", columns=columns,
        rows=tuple(Row(key=f"r{i}", name=f"row {i}", cells=tuple(c)) for i, c in enumerate(cells)),
    )  # fmt: skip
    answer = Answer(
        columns=columns,
        rows=tuple(AnswerRow(name=row.name, cells=tuple(table.at(row.key, c.key) for c in columns))
                   for row in table.rows),
    )  # fmt: skip
    record = everything().model_copy(update={"blocks": (answer, table)})
    lines = text_table(record, columns=60).splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 60
    shown = rows - left
    for i, row in enumerate(cells[:shown]):
        at = lines.index(f"row {i}")
        for j, number in enumerate(row):
            said = " ".join(lines[at + 1 + j].split())
            assert said.startswith("Recovered") and said.endswith(str(fmt.cell(number, "plain")))
    assert (f"row {shown}" in lines) is False
    assert any(f"{left} row{'s' * (left > 1)} more with --full" in line for line in lines) == bool(
        left
    )


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_terminal_takes_at_most_forty_lines_and_cuts_no_digit(
    record: Record, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = text_table(record).splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= columns
    (answer, *_), words = record.blocks, " ".join(lines)
    assert isinstance(answer, Answer)
    numbers = dict(record.numbers())
    # Of a narrow terminal's rows the last may be left out, which is said with their number; no row is cut.
    left_out = re.search(r"^(\d+) rows? more with --full", "\n".join(lines), flags=re.M)
    rows = answer.rows[: len(answer.rows) - int(left_out[1])] if left_out else answer.rows
    assert rows
    for row in rows:
        for column, where in zip(answer.columns, row.cells, strict=True):
            shown = fmt.cell(numbers[where], column.style) if where else None
            if shown is not None and not shown.refused:
                assert str(shown) in words, where


# Whoever measures


WHY = "a reason of ours"
"""Of every number that is refused."""
TOLD = re.compile(rf"(?:(?:is|are) refused: (?:[^.;()]+: )?{WHY}|\({WHY}\))(?=[.;]|$)")
"""How a sentence may tell that something is refused: as its end, or that of a part after which it begins anew."""


def broken(words: str) -> bool:
    """Whether a refusal stands in the middle of a sentence, or a dash for a number."""
    rest = TOLD.sub("", words)
    said = re.search(r"(?<!is )(?<!are )(?<!was )(?<!were )refused", rest)
    return WHY in rest or said is not None or bool(re.search(r"(?:^| )–(?:[ ,.;]|$)", rest))


def sentences(record: Record) -> Iterator[str]:
    """Everything in a record in which a number may have been written; cells of tables alone say so by themselves."""
    yield record.verdict
    for _, block in walk(record.blocks):
        yield from (str(getattr(block, part, "")) for part in ("words", "caption", "title", "says"))
        yield from (
            f"{row.name} {row.note}" for row in getattr(block, "rows", ()) if hasattr(row, "note")
        )
        if isinstance(block, Table):
            yield from (
                c for row in block.rows for c in row.cells if isinstance(c, str) and " " in c
            )


@pytest.mark.parametrize("name", NAMES)
def test_no_sentence_is_broken_by_a_refusal_in_its_middle(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_of(name)
    plain = Number.__init__

    def refused(self: Number, **given: Any) -> None:
        measured = {"low", "high"} & {part for part in given if given[part] is not None}
        none = {"value": None, "low": None, "high": None, "refused": WHY}
        plain(self, **(given | none if measured else given))

    monkeypatch.setattr(Number, "__init__", refused)
    record = called(INSTRUMENTS.get(name), folder=folder())
    said = list(sentences(record))
    assert WHY in str(dict(record.numbers())) and not list(filter(broken, said))


def test_the_search_for_broken_sentences_can_fail() -> None:
    for words in (f"on webmix (refused: {WHY}) is recovered", f"costs refused: {WHY} nats", "it is – apart",
                  f"The gap, refused: {WHY}, is even", "prefers the answer in refused of pairs"):  # fmt: skip
        assert broken(words), words
    assert not broken(f"What it costs is refused: {WHY}. A share of nothing is refused.")


def backwards(job: Job, tasks: Sequence[Task]) -> Iterator[tuple[Task, Ledger]]:
    """Workers that finish the last task first, as a cluster may."""
    yield from in_process(job, list(tasks)[::-1])


@pytest.mark.parametrize("name", NAMES)
def test_whoever_does_the_work_the_record_is_the_same(
    name: str,
) -> None:
    here, there = record_of(name), called(INSTRUMENTS.get(name), workers=backwards, folder=None)
    here, there = (one.model_dump_json(exclude=set(CLOCK)) for one in (here, there))
    assert here == there


@pytest.mark.parametrize("name", NAMES)
def test_what_is_finished_is_found_again_under_every_instrument(
    name: str,
) -> None:
    first = record_of(name)
    ran: list[Task] = []

    def watching(job: Job, tasks: Sequence[Task]) -> Iterator[tuple[Task, Ledger]]:
        ran.extend(tasks)
        yield from in_process(job, tasks)

    again = called(INSTRUMENTS.get(name), folder=folder(), workers=watching)
    assert again.blocks == first.blocks and not ran


# What cannot be put together


def table(*rows: tuple[str, Number], key: str = "t") -> Table:
    return Table(
        key=key,
        columns=(Column(key="c", heading="C"),),
        rows=tuple(Row(key=name, name=name, cells=(number,)) for name, number in rows),
    )


def built(*blocks: Any) -> Record:
    return (
        everything()
        .model_copy(update={})
        .model_validate({**everything().model_dump(), "blocks": [b.model_dump() for b in blocks]})
    )


def test_two_numbers_with_one_id_are_refused() -> None:
    one = Number(value=1.0)
    with pytest.raises(ValidationError, match="two numbers have the id 't/a/c'"):
        built(table(("a", one), ("a", one)))
    with pytest.raises(ValidationError, match="two blocks have the id 't'"):
        built(table(("a", one)), table(("b", one)))


def test_a_picture_of_a_number_that_is_not_there_is_refused() -> None:
    forest = next(b for _, b in walk(everything().blocks) if b.block == "forest")
    with pytest.raises(ValidationError, match=r"points at .*no number"):
        built(table(("a", Number(value=1.0))), forest)


def test_a_row_with_a_cell_too_few_is_refused() -> None:
    short = table(("a", Number(value=1.0))).model_copy(
        update={"rows": (Row(key="a", name="a", cells=()),)}
    )
    with pytest.raises(ValidationError, match="not one cell for each column"):
        built(short)


def test_a_number_is_found_by_its_id_and_a_wrong_id_names_near_ones() -> None:
    record = everything()
    assert record["main/numbers/mine/mean"].value == 0.61
    with pytest.raises(RecordError, match="main/numbers/mine/mean"):
        record["main/numbers/mine/meen"]


def test_slashes_in_names_are_no_steps_of_an_id() -> None:
    slashed = table(("org/model", Number(value=1.0)))
    record = built(slashed)
    assert [where for where, _ in record.numbers()] == ["t/org:model/c"]
    assert slashed.at("org/model", "c") == "t/org:model/c"
