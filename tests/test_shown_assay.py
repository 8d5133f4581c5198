"""An assay as blocks: nothing that was measured is lost, and what it says in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass, replace

import pytest
from pydantic import BaseModel

from changed import each_number
from sample_record import assayed, sample_record, web_text
from sample_rows import refused
from test_report import words_of
from unexplained.instruments import _assay_rows as assay_rows
from unexplained.instruments import _assay_strata as assay_strata
from unexplained.instruments import _assay_text as assay_text
from unexplained.instruments._assay_text import OnText
from unexplained.instruments._assay_words import answer_of
from unexplained.record import Number, Record
from unexplained.record.blocks import Forest, Table
from unexplained.record.ids import cells, walk
from unexplained.report import render
from unexplained.report.drawn import drawn


@pytest.fixture(scope="module")
def record() -> Record:
    return sample_record()


@pytest.fixture(scope="module")
def text() -> OnText:
    return web_text()


def parts_of(value: object) -> Iterator[tuple[str, object]]:
    """What a thing holds, by name."""
    if isinstance(value, BaseModel):
        yield from ((name, getattr(value, name)) for name in type(value).model_fields)
    elif is_dataclass(value):
        yield from vars(value).items()
    elif isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, tuple):
        names = getattr(value, "_fields", map(str, range(len(value))))
        yield from zip(names, value, strict=True)


def numbers_in(value: object, path: str = "") -> Iterator[tuple[str, Number]]:
    """Every number of what was found, with the fields that lead to it."""
    if isinstance(value, Number):
        yield path, value
    else:
        for name, part in parts_of(value):
            yield from numbers_in(part, f"{path}.{name}")


def told_apart(text: OnText) -> OnText:
    """The same with another value in every number that is no mere repetition.

    Repeated are: the damage of a stratum in each row but the twin, the weaker models' own loss, gap
    and r in each condition's bars, and a baseline's damage there.
    """
    known: dict[tuple[object, ...], Number] = {}
    for path, number in numbers_in(text):
        known.setdefault(shared(text, path), Number(value=1000.0 + len(known), unit=number.unit))
    places = iter([shared(text, path) for path, _ in numbers_in(text)])
    return each_number(text, lambda _: known[next(places)])


def shared(text: OnText, path: str) -> tuple[object, ...]:
    """What a number is: of those that are repeated the same wherever they stand."""
    steps = path.split(".")[1:]
    if steps[0] == "rows" and "strata" in steps and steps[-1] == "damage":
        row = text.rows[int(steps[1])]
        stratum = row.numbers.strata[int(steps[-2])]
        twin = row.card.role == "twin"
        return ("damage of", stratum.partition, stratum.label, twin)
    if steps[0] == "bars":
        one = text.bars[int(steps[1])]
        cut = (one.partition, one.label)
        if steps[2] == "baselines" and steps[-1] == "damage":
            return ("cost of", *cut, one.baselines[int(steps[3])].baseline)
        if steps[2] == "rungs" and steps[4] in ("loss", "gap", "share"):
            return ("rung", *cut, one.rungs[int(steps[3])].rung, *steps[4:])
    return tuple(steps)


def with_more(text: OnText) -> OnText:
    """Every field that may hold a number holds one: the twin's strata and own damage, too."""
    strata = text.row().numbers.strata
    rows = tuple(
        row._replace(numbers=replace(row.numbers, strata=strata), own=dict(text.damage))
        if row.card.role == "twin"
        else row
        for row in text.rows
    )
    singles = tuple(row._replace(own={"mean": text.damage["mean"]}) for row in text.singles)
    return replace(text, rows=rows, singles=singles)


def test_every_number_of_a_record_is_in_a_cell(text: OnText) -> None:
    for one in (text, told_apart(with_more(text))):
        shown = list(cells(assayed(one).blocks))
        there = [number for _, number in shown]
        lost = [path for path, number in numbers_in(one) if number not in there]
        assert not lost
    # None of them twice, where no two are the same.
    values = [number.value for _, number in shown]
    assert len(values) == len(set(values)) == len({n.value for _, n in numbers_in(one)})


def test_strata_stand_in_reading_order_and_the_twin_apart(text: OnText) -> None:
    strict = text.row()
    turned = replace(strict.numbers, strata=tuple(reversed(strict.numbers.strata)))
    twin = next(row for row in text.rows if row.card.role == "twin")
    found = assay_strata.partitions([row._replace(numbers=turned) for row in (strict, twin)])
    assert [partition.name for partition in found] == ["recurrence", "position", "domain"]
    assert [s.label for s in found[1].columns] == ["first 16", "16-63", "64-127"]
    assert found[0].columns[0].label == "first time"
    for partition in found:
        assert [row.name for row in partition.rows] == ["strict induction"]


def test_the_sentence_on_scales_names_the_extremes_of_the_claim_in_the_token_view(
    text: OnText,
) -> None:
    assert assay_rows.differ(text.rows[::-1], text.primary).startswith(
        "“strict induction” scores 45% on one scale (loss recovered against mean) and 23.1% on "
        "another (variance explained)."
    )
    rows = [
        row._replace(numbers=replace(row.numbers, variance=None, direct={})) for row in text.rows
    ]
    assert assay_rows.differ(rows, text.primary) == ""


def refusing(text: OnText, *ablations: str) -> OnText:
    """The same with every fraction against some ablations refused."""
    rows = tuple(
        row._replace(
            numbers=replace(
                row.numbers,
                recovered=row.numbers.recovered | dict.fromkeys(ablations, refused()),
            )
        )
        for row in text.rows
    )
    return replace(text, rows=rows)


def test_a_chart_whose_every_fraction_is_refused_turns_to_another_scale(text: OnText) -> None:
    assert assay_rows.forest_against(text.rows) == ("mean", "")
    other = refusing(text, "mean")
    against, why = assay_rows.forest_against(other.rows)
    assert against == "zero" and "Against mean ablation" in why
    nothing = refusing(text, *text.damage)
    assert assay_rows.forest_against(nothing.rows)[0] == ""
    changed = assayed(nothing)
    assert "Increase in loss over the intact model" in words_of(render(changed))
    forest = forest_of(changed, "text-1/recovered")
    assert not forest.share and {m.split("/")[-1] for t in forest.tracks for m in t.marks} == {
        "increase"
    }
    forest = forest_of(assayed(other), "text-1/recovered")
    assert {m.split("/")[-1] for t in forest.tracks for m in t.marks} == {"against zero"}


def forest_of(record: Record, section: str) -> Forest:
    found = walk(drawn(record).record.blocks)
    (forest,) = [b for above, b in found if isinstance(b, Forest) and above == section]
    return forest


def test_an_ablation_that_costs_nothing_that_can_be_told_says_so(record: Record) -> None:
    tags = {track.name: track.tag for track in forest_of(record, "text-1/costs").tracks}
    assert tags == {"mean": "", "zero": "", "resample": "within noise of zero"}
    assert assay_text.within_noise(refused()) and not assay_text.within_noise(
        Number(value=1.0, low=0.5, high=2)
    )
    assert not assay_text.within_noise(Number(value=0.0))


def test_rows_stand_by_kind_and_their_strokes_are_the_other_ablations(record: Record) -> None:
    tracks = forest_of(record, "text-1/recovered").tracks
    groups = list(dict.fromkeys(track.group for track in tracks))
    assert groups == list(assay_rows.GROUPS.values())
    strict = next(track for track in tracks if track.name == "strict induction")
    assert strict.marks == ("fractions/strict induction/against mean",)
    assert [o.split("/")[-1] for o in strict.others] == ["against zero", "against resample"]


def test_denominators_stand_over_the_shares_of_strata_and_are_not_shaded(
    record: Record,
) -> None:
    html = render(record)
    table = html[html.index('id="text-1/strata/recurrence"') :]
    rows = table[table.index("<tbody>") : table.index("</tbody>")].split("</tr>")
    assert "19,204" in rows[0] and "damage" in rows[1] and "0.0612" in rows[1]
    assert 'class="h' not in rows[0] + rows[1] and 'class="h7"' in rows[2]
    for above, block in walk(drawn(record).record.blocks):
        if isinstance(block, Table) and above == "text-1/strata" and block.shaded:
            assert block.folded == (block.key != "recurrence")


def test_the_first_screen_says_what_was_claimed_and_not_its_name_alone(text: OnText) -> None:
    card = text.row().card
    assert card.says and answer_of([text]).says == f"“{card.name}” says: {card.says}"
