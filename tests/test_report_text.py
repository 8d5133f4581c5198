"""Numbers and text are written as plain words: in cells, in the terminal and in Markdown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sample_record import assayed, sample_record, web_text
from sample_rows import nats, refused, share
from unexplained import visible
from unexplained.cli.outputs import Outputs
from unexplained.errors import RecordError
from unexplained.record import Number, Record
from unexplained.record import format as fmt
from unexplained.record.blocks import Answer, AnswerRow, Row, Section, Table
from unexplained.report import glossary, markdown, page, print_record, printer, render, text_table

MODULES = (
    "charts",
    "glossary",
    "markdown",
    "page",
    "terminal",
)
TEMPLATES = page.TEMPLATES
REORDERING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.fixture(scope="module")
def record() -> Record:
    return sample_record()


# Numbers


@pytest.mark.parametrize(
    ("number", "written"),
    [
        # The interval's width has its first digit in the second decimal: one more is shown.
        (nats(2.9142, 2.8042, 3.0242), "2.91 [2.80, 3.02]"),
        (nats(0.0239, 0.0188, 0.0292), "0.0239 [0.0188, 0.0292]"),
        (nats(0.00043, 0.00041, 0.00045), "0.000430 [0.000410, 0.000450]"),
        (share(0.447, 0.312, 0.561), "45% [31%, 56%]"),
        (share(0.931, 0.921, 0.940), "93.1% [92.1%, 94.0%]"),
        (share(-3.2, -5.1, -1.9), "−320% [−510%, −190%]"),
        (share(1.0, 1.0, 1.0), "100% [100%, 100%]"),
        (share(-149.1, -217.0, -113.0), "−14,910% [−21,700%, −11,300%]"),
        (share(-1_234_567.0, -1_900_000.0, -900_000.0), "−1.2 × 10⁸% [−1.9 × 10⁸%, −9.0 × 10⁷%]"),
        (Number(value=-0.00001, low=-0.4, high=0.4), "0.00 [−0.40, 0.40]"),
        (Number(value=0.9996, unit="share"), "99.96%"),
        (Number(value=0.0002, unit="share"), "0.02%"),
        (Number(value=1.2, low=1.0, unit="nines"), "1.20 [1.00, ∞)"),
        (refused(), "refused"),
        (None, "–"),
    ],
)
def test_numbers_are_written_with_the_digits_that_their_interval_supports(
    number: Number | None, written: str
) -> None:
    assert str(fmt.show(number)) == written


@given(st.floats(-1e12, 1e12), st.floats(0, 1e6))
def test_a_written_share_is_100_or_0_percent_only_if_it_is_exactly_that(
    value: float, width: float
) -> None:
    number = Number(value=value, low=value - width, high=value + width, unit="share")
    written = fmt.show(number).value
    if abs(value - 1) > 1e-7 and written == "100%":
        pytest.fail(f"{value} reads as 100%")
    if abs(value) > 1e-7 and written in ("0%", "−0%"):
        pytest.fail(f"{value} reads as 0%")


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e3))
def test_a_written_number_is_within_a_tenth_of_its_interval_of_the_true_one(
    value: float, width: float
) -> None:
    number = Number(value=value, low=value - width / 2, high=value + width / 2)
    written = fmt.show(number).value
    if "×" not in written:
        read = float(written.replace(fmt.MINUS, "-").replace(",", ""))
        # Half a unit of the second digit of the width is at most a twentieth of it; beyond six
        # decimals the digits end.
        assert abs(read - value) <= max(width / 20, 0.5e-6) * (1 + 1e-6) + abs(value) * 1e-15


# Text


@given(st.text())
def test_visible_text_has_no_controls_and_no_reordering(text: str) -> None:
    for seen in (visible.prose(text), visible.token(text), visible.line(text)):
        bad = {c for c in seen if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"}
        assert not bad
        assert REORDERING.isdisjoint(seen)
    assert visible.token(text)
    assert not set("\n\t\r") & set(visible.token(text))


# Terminal and Markdown


@pytest.mark.parametrize("columns", [20, 72, 80, 100, 200])
def test_no_number_is_cut_off_in_the_terminal(
    record: Record, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    table = text_table(record, full=True)
    lines = table.splitlines()
    assert lines[0] == record.title and lines[1].startswith("On webmix")
    assert max(map(len, lines)) <= min(max(columns, 72), 120)
    assert "…" not in table and "\x1b" not in table
    assert "[−21,700%, −11,300%]" in table
    assert "[red]piped[/red]" in table
    assert re.search(r"refused \[\d\]", table) and "within noise of zero" in table
    assert "71%" in table and "recurs" in table


def test_the_terminal_shows_colour_only_where_it_is_asked_to(record: Record) -> None:
    out = StringIO()
    console = Console(
        file=out, force_terminal=True, color_system="standard", width=100, _environ={}
    )
    print_record(record, console)
    assert "\x1b[" in out.getvalue()
    assert str(record) == text_table(record)


def test_every_table_in_markdown_has_the_same_cells_in_every_line(record: Record) -> None:
    words = markdown(record)
    for table in re.findall(r"(?:^\|.*\n?)+", words, flags=re.M):
        cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
        assert len({len(row) for row in cells}) == 1
    assert "<script" not in words
    # A claim's numbers as they stand in its record.
    line = next(one for one in words.splitlines() if one.startswith("| strict induction |"))
    assert "45% [31%, 56%]" in words and "| strict induction |" in line


# Glossary


def acronyms(text: str) -> set[str]:
    """Words with two capitals or more; addresses, names of keys and of people are none."""
    return set(re.findall(r"\b(?=\w*[A-Z]\w*[A-Z])[A-Za-z]{2,}\b", text)) - {"FAILED", "McDougall"}


def template_words() -> Iterator[tuple[str, str]]:
    for path in sorted(TEMPLATES.glob("*.html.j2")):
        source = path.read_text(encoding="utf-8")
        source = re.sub(r"\{[%{#].*?[%}#]\}", " ", source, flags=re.DOTALL)
        yield path.name, page.plain_text(re.sub(r"<style>.*?</style>|<!doctype[^>]*>", "", source))


def test_every_acronym_in_the_templates_and_the_glossary_itself_is_defined() -> None:
    texts = [*template_words(), *((t.name, t.meaning) for t in glossary.TERMS)]
    assert len(texts) > 60
    assert acronyms("the KL of SAEs") == {"KL", "SAEs"}
    defined = {term.name for term in glossary.TERMS} | {w for t in glossary.TERMS for w in t.also}
    for where, text in texts:
        assert acronyms(text) <= defined, where


def test_the_glossary_lists_the_terms_that_occur_and_no_others(record: Record) -> None:
    html = render(record)
    section = html[html.index('id="glossary"') : html.index('id="reproduce"')]
    listed = re.findall(r"<dt>([^<]*)</dt>", section)
    assert {"KL", "nats per token", "fraction recovered", "seed", "bar"} <= set(listed)
    assert "unigram" not in listed and "BOS" not in listed
    assert glossary.used_in("nothing of ours here") == ()


def test_words_of_a_document_are_not_taken_for_terms() -> None:
    text = web_text()
    example = text.examples[0]
    tokens = (example.tokens[0].model_copy(update={"text": " unigram "}), *example.tokens[1:])
    changed = replace(text, examples=(example.model_copy(update={"tokens": tokens}),))
    assert "<dt>unigram</dt>" not in render(assayed(changed))


def test_no_term_is_defined_twice() -> None:
    names = [word.lower() for term in glossary.TERMS for word in (term.name, *term.also)]
    assert len(names) == len(set(names))


# One section


def test_a_section_is_printed_alone_by_title_or_id_and_near_ones_are_named(record: Record) -> None:
    def printed(name: str) -> str:
        out = StringIO()
        print_record(record, Console(file=out, width=100), section=name)
        return out.getvalue()

    first, *_, second = [block for block in record.blocks if isinstance(block, Section)]
    alone = printed(first.title.upper())
    assert first.title in alone and second.title not in alone and record.verdict not in alone
    assert printed(first.key) == alone
    inner = next(block for block in first.blocks if isinstance(block, Section))
    assert inner.title in printed(f"{first.key}/{inner.key}")
    with pytest.raises(RecordError, match=f"Did you mean .*{re.escape(second.title)}"):
        printed(second.title[:-1])


def test_where_no_section_has_that_name_all_is_written_and_it_is_said_where(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = Outputs(tmp_path / "r.html", tmp_path / "r.json", section="Nonsense")
    refused = pytest.raises(RecordError, match=r"unexplained report .*r\.json --section")
    with refused, written.writing() as made:
        made.append(record)
    said = re.sub(r"\s", "", capsys.readouterr().out)
    for path in (written.report, written.record):
        assert path.is_file() and str(path) in said


def test_an_answer_that_stands_below_its_names_ends_before_the_screen_does(record: Record) -> None:
    answer = next(block for block in record.blocks if isinstance(block, Answer))
    row = next(one for one in answer.rows if all(one.cells))
    rows = tuple(row.model_copy(update={"name": f"claim {i}", "note": ""}) for i in range(12))
    columns = tuple(
        one.model_copy(update={"heading": f"{one.heading} {i}", "note": "nats per token"})
        for one in answer.columns for i in range(3)
    )  # fmt: skip
    rows = tuple(one.model_copy(update={"cells": one.cells * 3}) for one in rows)
    longer = answer.model_copy(update={"columns": columns, "rows": rows, "beside": ()})
    blocks = tuple(longer if block is answer else block for block in record.blocks)
    said = text_table(record.model_copy(update={"blocks": blocks}), columns=60).splitlines()
    shown = [i for i in range(12) if f"claim {i}" in said]
    (more,) = [line for line in said if " more with --full" in line]
    left = 12 - len(shown)
    assert 0 < left < 12 and more == f"{left} row{'s' * (left > 1)} more with --full."
    assert len(said) <= printer.SCREEN < len(said) + 1 + len(columns)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_words_without_end_are_cut_and_numbers_are_not(record: Record, columns: int) -> None:
    """A claim, a text and a model may have names of any length, and reasons are of any number of kinds."""
    answer = next(block for block in record.blocks if isinstance(block, Answer))
    row = next(one for one in answer.rows if all(one.cells))
    much = "of a component of somebody else's model, " * 12
    cells = tuple(
        Number(value=None, unit="share", refused=f"because of {chr(97 + i) * 9} {much}") for i in range(8)
    )  # fmt: skip
    number = Number(value=0.123, low=0.101, high=0.145, unit="share")
    table = Table(
        key="t", columns=answer.columns[:1],
        rows=tuple(Row(key=f"r{i}", name=f"{i} {much}", cells=(one,)) for i, one in enumerate((number, *cells))),
    )  # fmt: skip
    rows = [row.model_copy(update={"name": one.name, "note": much, "cells": (table.at(one.key, table.columns[0].key),)})
            for one in table.rows]  # fmt: skip
    long = answer.model_copy(
        update={
            "columns": table.columns,
            "rows": tuple(rows),
            "beside": tuple(rows[1:]),
            "says": much,
            "picture": "",
        }
    )
    said = f"{record.verdict} {much * 9}".strip()
    made = record.model_copy(update={"title": much, "verdict": said, "blocks": (long, table)})
    lines = text_table(made, columns=columns).splitlines()
    assert len(lines) <= printer.SCREEN and max(map(len, lines)) <= columns
    shown = " ".join(" ".join(lines).split())
    assert (
        "12.3% [10.1%, 14.5%]" in shown
        and "…" in shown
        and "kinds of reasons more with --full." in shown
    )
    assert "1 lines" not in shown and "1 rows" not in shown and "1 kinds" not in shown
    assert said in " ".join(text_table(made, columns=columns, full=True).split())


def test_reasons_of_one_kind_are_given_once_and_those_of_rows_left_out_not_at_all(
    record: Record,
) -> None:
    answer = next(block for block in record.blocks if isinstance(block, Answer))
    numbers = dict(record.numbers())
    row = next(one for one in answer.rows if all(one.cells))
    columns = answer.columns[:1]
    refused = [
        numbers[row.cells[0]].model_copy(
            update={"value": None, "low": None, "high": None, "refused": why, "tokens_needed": None}
        )
        for why in [
            f"the denominator (damage of 'mean at L{i}') is 0.{i} [−0.1, {i}] nats"
            for i in (1, 22, 3)
        ]
        + ["nothing was claimed"]
    ]
    table = Table(
        key="t", columns=columns,
        rows=tuple(Row(key=f"r{i}", name=f"row {i}", cells=(one,)) for i, one in enumerate(refused)),
    )  # fmt: skip
    longer = answer.model_copy(
        update={"columns": columns, "beside": (), "says": "", "picture": "",
                "rows": tuple(AnswerRow(name=one.name, cells=(table.at(one.key, columns[0].key),)) for one in table.rows)}
    )  # fmt: skip
    made = record.model_copy(update={"blocks": (longer, table)})
    said = " ".join(text_table(made, columns=100).split())
    for part in ("[1] the denominator (damage of 'mean at L1')", "[2], [3] likewise, by numbers of their own: --full",
                 "[4] nothing was claimed"):  # fmt: skip
        assert said.count(part) == 1
    assert said.count("the denominator") == 1
    full = " ".join(text_table(made, columns=100, full=True).split())
    assert all(f"'mean at L{i}') is 0.{i} [−0.1, {i}] nats" in full for i in (1, 22, 3))
    told = made.model_copy(update={"verdict": f"Refused: {refused[0].refused}."})
    assert "[1] as said above" in text_table(told, columns=100)
