"""A record in a notebook: its unfolded tables, harmless, without script, with why numbers were refused."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from drawing import notebook_html
from sample_blocks import SAMPLES
from sample_record import assayed, sample_record, web_text
from test_blocks import distinct, styles, with_numbers
from test_report import PAYLOAD, Elements, assert_harmless, words_of
from unexplained.record import Number, Record
from unexplained.record import format as fmt
from unexplained.record.blocks import Section, Table, below


@pytest.fixture(params=sorted(SAMPLES))
def record(request: pytest.FixtureRequest) -> Record:
    return SAMPLES[request.param]()


def unfolded(blocks: tuple[object, ...], above: str = "") -> list[str]:
    """The ids of numbers that are shown unasked."""
    found = []
    for block in blocks:
        if isinstance(block, Section) and not block.folded:
            found += unfolded(block.blocks, below(above, block.key))
        elif isinstance(block, Table) and not block.folded:
            home = below(above, block.key)
            found += [
                f"{home}/{row.key}/{column.key}"
                for row in block.rows
                for column, cell in zip(block.columns, row.cells, strict=True)
                if isinstance(cell, Number)
            ]
    return found


def test_a_notebook_gets_a_fragment_without_script_in_its_own_style(record: Record) -> None:
    fragment = record._repr_html_()
    assert fragment == notebook_html(record)
    assert_harmless(fragment)
    assert not Elements(fragment).scripts
    assert fragment.lstrip().startswith('<div class="unexplained-record">')
    (style,) = re.findall(r"<style>(.*?)</style>", fragment, re.DOTALL)
    assert all(
        part.strip().startswith(".unexplained-record")
        for rule in re.findall(r"^(.*?)\{", style, re.MULTILINE)
        for part in rule.split(",")
    )


def test_what_is_not_folded_is_there_once_and_what_is_folded_is_not(record: Record) -> None:
    shown = set(unfolded(record.blocks))
    record = distinct(record)
    words, numbers = words_of(notebook_html(record)), dict(record.numbers())
    for where, style, _ in styles(record):
        written = str(fmt.cell(numbers[where], style))  # type: ignore[arg-type]
        found = re.findall(rf"(?<![\d.]){re.escape(written)}", words)
        assert len(found) == (where in shown), where
    assert shown


def test_reasons_of_what_is_refused_stand_below_and_are_counted(record: Record) -> None:
    shown = unfolded(record.blocks)
    refused = {w: Number(value=None, refused=f"why {i} <b>") for i, w in enumerate(shown)}
    fragment = notebook_html(with_numbers(record, refused))
    words = words_of(fragment)
    assert f"{len(shown)} reason" in words and fragment.count("<li>") == len(shown)
    assert all(f"why {i} <b>." in words for i in range(len(shown)))


def test_a_failed_control_and_a_hostile_name_are_shown_as_words() -> None:
    record = sample_record()
    fragment = notebook_html(record.model_copy(update={"verdict": PAYLOAD}))
    assert_harmless(fragment)
    assert "1 of 4 controls failed: shuffled tokens (webmix)" in words_of(fragment)
    web = web_text()
    good = tuple(check for check in web.checks if check.holds)
    assert "✗" not in notebook_html(assayed(replace(web, checks=good)))
