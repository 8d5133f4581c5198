"""A record in a notebook: the answer, harmless, without script, with why its numbers were refused."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from sample_blocks import SAMPLES, answered
from sample_record import assayed, sample_record, web_text
from test_blocks import distinct, styles, with_numbers
from test_report import PAYLOAD, Elements, assert_harmless, words_of
from unexplained.record import Number, Record
from unexplained.record import format as fmt
from unexplained.record.blocks import Answer, Section
from unexplained.record.ids import references
from unexplained.report import notebook_html

MOST = 30_000
"""Bytes: what a notebook that is kept with its outputs can hold many of."""


@pytest.fixture(params=sorted(SAMPLES))
def record(request: pytest.FixtureRequest) -> Record:
    return answered(SAMPLES[request.param]())


def answer_of(record: Record) -> Answer:
    answer = record.blocks[0]
    assert isinstance(answer, Answer)
    return answer


def test_a_notebook_gets_a_small_fragment_without_script_in_its_own_style(record: Record) -> None:
    fragment = record._repr_html_()
    assert fragment == notebook_html(record)
    assert len(fragment.encode()) <= MOST
    assert_harmless(fragment)
    assert not Elements(fragment).scripts
    assert fragment.lstrip().startswith('<div class="unexplained-record">')
    (style,) = re.findall(r"<style>(.*?)</style>", fragment, re.DOTALL)
    assert all(
        part.strip().startswith(".unexplained-record")
        for rule in re.findall(r"^(.*?)\{", style, re.MULTILINE)
        for part in rule.split(",")
    )


def test_what_answers_is_there_and_nothing_else_but_where_it_is(record: Record) -> None:
    record = distinct(record)
    answer = answer_of(record)
    shown = set(references(answer))
    words, numbers = words_of(notebook_html(record)), dict(record.numbers())

    def there(written: str) -> bool:
        alone = rf"(?<![\d.]){re.escape(written)}(?![\d⁰¹²³⁴⁵⁶⁷⁸⁹])"
        return re.search(alone, words) is not None

    for row in (*answer.rows, *answer.beside):
        for column, cell in zip(answer.columns, row.cells, strict=True):
            style = row.style if row in answer.beside else column.style
            assert cell is None or there(str(fmt.cell(numbers[cell], style))), cell
    for where, style, _ in styles(record):
        assert where in shown or not there(str(fmt.cell(numbers[where], style))), where  # type: ignore[arg-type]
    assert shown
    titles = [block.title for block in record.blocks if isinstance(block, Section)]
    assert all(" ".join(title.split()) in words for title in titles)
    assert "record.report(" in words


def test_reasons_of_what_is_refused_stand_below(record: Record) -> None:
    shown = list(dict.fromkeys(references(answer_of(record))))
    refused = {w: Number(value=None, refused=f"why {i} <b>") for i, w in enumerate(shown)}
    words = words_of(notebook_html(with_numbers(record, refused)))
    assert all(f"why {i} <b>" in words for i in range(len(shown)))


def test_a_failed_control_and_a_hostile_name_are_shown_as_words() -> None:
    record = sample_record()
    fragment = notebook_html(record.model_copy(update={"verdict": PAYLOAD}))
    assert_harmless(fragment)
    assert "1 of 4 controls failed: shuffled tokens (webmix)" in words_of(fragment)
    web = web_text()
    good = tuple(check for check in web.checks if check.holds)
    assert "✗" not in notebook_html(assayed(replace(web, checks=good)))
