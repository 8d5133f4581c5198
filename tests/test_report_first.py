"""The page's first screen, the lines below it that open, and columns that say nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from sample_blocks import SAMPLES, answered, everything
from sample_sweep import sample_sweep
from test_blocks import Cells, built, distinct, squeezed, styles, with_numbers
from test_report import TEMPLATES, Elements, words_of
from unexplained.record import Example, Number, Record, Token
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Chart,
    Column,
    Compute,
    CurvePoint,
    Forest,
    OnCurve,
    Row,
    Table,
)
from unexplained.record.ids import walk
from unexplained.record.keys import below
from unexplained.report import charts, curveplot, markdown, render, text_table
from unexplained.report.drawn import drawn
from unexplained.report.screen import first
from unexplained.report.tables import without_refused


@pytest.fixture(params=sorted(SAMPLES))
def record(request: pytest.FixtureRequest) -> Record:
    return answered(SAMPLES[request.param]())


def head(html: str) -> str:
    """The first screen."""
    return html[html.index("<header>") : html.index("</header>")]


def answer_of(record: Record) -> Answer:
    answer = record.blocks[0]
    assert isinstance(answer, Answer)
    return answer


def nats(value: float) -> Number:
    return Number(value=value, low=value - 0.1, high=value + 0.1, unit="nats per token")


def refused(why: str, takes: int | None = None) -> Number:
    return Number(value=None, unit="share", refused=why, tokens_needed=takes)


class Pictures(HTMLParser):
    """The outermost SVGs, and how they call themselves."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self._depth = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "svg":
            self.found += [dict(attrs)] * (self._depth == 0)
            self._depth += 1

    def handle_endtag(self, tag: str) -> None:
        self._depth -= tag == "svg"


# The first screen


def test_the_first_screen_has_the_verdict_what_failed_and_every_number_of_the_answer(
    record: Record,
) -> None:
    record = distinct(record)
    html = render(record)
    screen, numbers = squeezed(words_of(head(html))), dict(record.numbers())
    assert squeezed(record.verdict) in screen
    assert all(squeezed(check.name) in screen for check in drawn(record).failed)
    answer = answer_of(record)
    for row in (*answer.rows, *answer.beside):
        assert squeezed(row.name) in screen
        for column, where in zip(answer.columns, row.cells, strict=True):
            if where is not None:
                assert (
                    squeezed(
                        str(
                            fmt.cell(
                                numbers[where],
                                row.style if row in answer.beside else column.style,
                            )
                        )
                    )
                    in screen
                ), where
    # They point at numbers, which stand in their own cells alone.
    assert "data-id" not in head(html) and set(Cells(html).found) >= set(numbers)


def test_the_contents_reach_every_section_and_all_of_them_are_closed(record: Record) -> None:
    html = render(record)
    assert not re.search(r"<details[^>]* open", html)
    links = set(re.findall(r'<a href="#([^"]*)"', html[html.index("<nav") : html.index("</nav>")]))
    sections = [a.get("id") for tag, a in Elements(html).tags if tag == "section"]
    assert sections and set(sections) <= {link.replace("&#39;", "'") for link in links}
    body = html[html.index("</header>") :]
    assert len(re.findall(r"<section[^>]*><details>", body)) >= len(record.blocks) // 4


def test_a_chart_of_the_answer_is_drawn_once_and_its_section_leads_to_it(record: Record) -> None:
    html, answer = render(record), answer_of(record)
    pictures = {
        below(a, b.key): b for a, b in walk(record.blocks) if isinstance(b, Chart | Compute)
    }
    drawings = len(re.findall(r'<figure class="curve|There is no (?:chart|curve)', html))
    assert drawings == len(pictures)
    moved = answer.picture in pictures
    assert ('<figure class="curve' in head(html) or "There is no c" in head(html)) == moved
    assert ('class="moved"' in html) == (first(drawn(record)).moved != "")  # type: ignore[union-attr]


def test_a_forest_of_the_answer_shows_the_answers_rows_and_all_of_it_in_its_section() -> None:
    record = everything()
    screen = first(drawn(record))
    assert screen is not None and screen.beside is not None and screen.picture is None
    marks = [track and track.marks for track in screen.tracks]
    assert marks == [("numbers/mine/mean",), ("numbers/other/mean",), None]
    # Its lines have notes and a warning, which stand in its section alone: there it stays.
    assert screen.moved == "" and screen.divided == 2
    assert "careful" in words_of(render(record).partition("</header>")[2])
    assert head(render(record)).count('<i class="dot') == 2
    assert screen.homes == ("main/numbers", "main/numbers", "facts")
    # Only one of its two lines is a row of the answer: the section has both.
    answer = answer_of(record)
    one = answer.model_copy(update={"rows": answer.rows[:1]})
    fewer = first(drawn(record.model_copy(update={"blocks": (one, *record.blocks[1:])})))
    assert fewer is not None and fewer.moved == ""
    assert [track.name for track in fewer.beside.tracks] == [answer.rows[0].name]  # type: ignore[union-attr]


def test_a_forest_of_other_numbers_than_the_answers_stays_in_its_section() -> None:
    """Beside an answer that was refused it would say what the answer does not."""
    names = [f"line {i}" for i in range(15)]
    table = Table(
        key="t",
        columns=(Column(key="c", heading="C"),),
        rows=tuple(
            Row(key=n, name=n, cells=(Number(value=0.5, unit="share"),)) for n in (*names, "sum")
        ),
    )
    forest = next(b for _, b in walk(everything().blocks) if isinstance(b, Forest))
    track = forest.tracks[0].model_copy(update={"others": ()})
    tracks = tuple(
        track.model_copy(update={"name": n, "marks": (table.at(n, "c"),)}) for n in names
    )
    answer = Answer(columns=table.columns, picture="forest",
                    rows=(AnswerRow(name="sum", cells=(table.at("sum", "c"),)),))  # fmt: skip
    record = built(answer, table, forest.model_copy(update={"tracks": tracks}))
    html = render(record)
    assert "line 1" not in words_of(head(html))
    assert "line 14" in words_of(html[html.index("</header>") :])


def test_a_denominator_below_shares_is_written_in_its_own_unit() -> None:
    screen = words_of(head(render(everything())))
    assert "damage 0.50 [0.40, 0.60]" in screen and "Beside them" in screen


def test_a_single_number_beside_the_answer_has_no_dash_where_it_has_no_column() -> None:
    screen = head(render(sample_sweep()))
    beside = screen[screen.index("Beside them") :]
    assert "<td></td>" in beside and fmt.MISSING not in words_of(beside[: beside.index("</table>")])


def test_terms_of_the_first_screen_are_defined_there(record: Record) -> None:
    screen = head(render(record))
    defined = re.findall(r"<dt>([^<]*)</dt>", screen)
    if "nats per token" in words_of(screen[: screen.find("Words used above")]):
        assert "nats per token" in defined


# Columns of which nothing could be given


def of(*columns: tuple[object, ...]) -> Table:
    """A table of columns, given by their cells."""
    return Table(
        key="t",
        columns=tuple(Column(key=f"c{i}", heading=f"C{i}") for i in range(len(columns))),
        rows=tuple(
            Row(key=f"r{i}", name=f"r{i}", cells=cells)
            for i, cells in enumerate(zip(*columns, strict=True))
        ),
    )


def test_columns_of_refusals_alone_become_one_sentence() -> None:
    table, said = without_refused(
        of(
            (nats(1), nats(2), refused("noise")),
            (refused("no run"), None, refused("no run")),
            (refused("noise", 5_000), refused("noise", 9_000), refused("noise", 7_000)),
            (refused("no run"), refused("no run"), None),
            (None, None, None),
        )
    )
    assert [column.key for column in table.columns] == ["c0", "c4"]
    assert all(len(row.cells) == 2 for row in table.rows)
    assert said == (
        "“C1” and “C3” are refused in every row: no run. “C2” is refused in every row: noise; "
        "it takes at least about 5,000 tokens, and in one row 9,000."
    )


def test_a_column_of_many_reasons_or_of_a_list_of_facts_keeps_its_cells() -> None:
    four = of(tuple(refused(f"why {i}") for i in range(4)))
    assert without_refused(four) == (four, "")
    facts = of((refused("no run"),)).model_copy(update={"facts": True})
    assert without_refused(facts) == (facts, "")


def test_a_column_refused_throughout_is_nowhere_and_its_reason_everywhere(record: Record) -> None:
    above, table, i = next(
        (above, block, i)
        for above, block in walk(record.blocks)
        if isinstance(block, Table) and not block.facts
        for i in range(len(block.columns))
        if all(isinstance(row.cells[i], Number) for row in block.rows)
    )
    home, column = below(above, table.key), table.columns[i]
    gone = {
        f"{home}/{row.key}/{column.key}": refused("it was never looked at", 12_345)
        for row in table.rows
    }
    changed = with_numbers(record, gone)
    html = render(changed)
    why = f"it was never looked at; it takes at least about 12,345 {record.needed}"
    for surface in (words_of(html), squeezed(text_table(changed, full=True)), markdown(changed)):
        assert why in surface and "refused in every row" in surface
    numbers = {where for where, n in changed.numbers() if where in gone and n.refused}
    assert numbers and not numbers & set(Cells(html).found)


# Pictures and numbers


def test_every_picture_is_labelled_or_hidden_from_screen_readers(record: Record) -> None:
    for picture in Pictures(render(record)).found:
        assert picture.get("aria-label") or picture.get("aria-hidden") == "true"


def test_thousands_are_set_apart_wherever_a_number_is_written(record: Record) -> None:
    change = {
        where: Number(value=12.3456, low=11.6, high=1234.5, unit="share")
        for where, style, _ in styles(record)
        if style != "compute"
    }
    changed = with_numbers(record, change)
    for surface in (words_of(render(changed)), text_table(changed, full=True), markdown(changed)):
        assert not re.search(r"(?<![\d.,])\d{4,}(?:\.\d+)?%|\de[+-]\d\d", surface)
    assert fmt.tick(11.6, share=True) == "1,160%" and fmt.chance(3e-7) == "3 × 10⁻⁷"
    assert fmt.written(Number(value=12345.0)) == "1.2 × 10⁴"


def test_a_heat_maps_scale_is_said_without_dark_or_light() -> None:
    words = words_of(render(everything()))
    assert "the stronger the colour, the more" in words
    assert "darker" not in words and "lighter" not in words


def test_a_rung_is_a_dot_or_a_lettered_mark_and_not_both() -> None:
    numbers = {"a": nats(5.0), "b": nats(4.0), "mine": nats(4.5)}
    conditions = tuple(
        OnCurve(name=name, loss=name, compute=10.0**i) for i, name in enumerate(numbers, start=11)
    )
    block = Compute(
        key="k", unit="nats per token",
        law=tuple(CurvePoint(compute=10.0**i, loss=16.0 - i) for i in (11, 12)),
        rungs=conditions[:2], conditions=conditions,
    )  # fmt: skip
    plot = curveplot.plot(block, numbers.__getitem__)
    assert plot is not None and len(plot.dots) == 2
    assert [mark.name for mark in plot.marks] == ["mine"]


# Furthest off


def example(row: str, excess: float, *losses: float) -> Example:
    tokens = tuple(
        Token(text=f" w{i}", intact=None if not i else 1.0, explained=None if not i else x,
              ablated=None if not i else 2.0)
        for i, x in enumerate(losses)
    )  # fmt: skip
    return Example(document=f"{row}{excess}", domain="d", row=row, excess=excess, tokens=tokens)


def test_documents_and_tokens_that_are_furthest_off_come_first() -> None:
    near, far = example("a", 0.1, 9.0, 1.05, 3.0), example("a", 0.7, 0.0, 2.0, 9.0, 0.1, 1.2)
    other = example("b", 0.9, 0.0, 1.0)
    assert charts.furthest([near, other, far]) == [far, near, other]
    assert charts.worst(far) == [2, 1, 4] and charts.worst(far, 1) == [2]
    # The first token has no loss, and what is better or hardly worse is not off.
    assert charts.worst(near) == [2] and charts.worst(other) == []


def test_the_token_view_names_the_worst_tokens_and_begins_at_the_worst() -> None:
    html = render(answered(SAMPLES["assay"]()))
    words = words_of(html)
    assert re.search(r"Furthest off: .*?\+5\.10", words)
    for view in re.findall(r'<div class="doc".*?</div>', html, re.DOTALL):
        (start,) = re.findall(r'tabindex="0" class="t (\w+)"', view)
        assert start in ("w4", "same", "none") or "w4" not in view


def test_places_of_an_answers_axis_do_not_move_words_of_its_chart() -> None:
    """A rule of `.answer .label` moved the name of a chart's straight line by half of its width."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    (rule,) = [one for one in style.splitlines() if ".label" in one and "transform" in one]
    assert ".answer span.label" in rule and ".answer .label" not in rule
