"""An assay as blocks: nothing that was measured is lost, and what it says in words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from drawing import drawn, render
from sample_record import sample_record
from sample_rows import refused
from test_report import words_of
from unexplained.instruments import _assay_rows as assay_rows
from unexplained.instruments import _assay_strata as assay_strata
from unexplained.instruments import assay
from unexplained.record import AssayRecord, Number, TextResult
from unexplained.record.blocks import Forest, Table, cells, walk


@pytest.fixture(scope="module")
def record() -> AssayRecord:
    return sample_record()


@pytest.fixture(scope="module")
def text(record: AssayRecord) -> TextResult:
    return record.texts[0]


def numbers_in(value: object, path: str = "") -> Iterator[tuple[str, Number]]:
    """Every number of a record, with the fields that lead to it."""
    if isinstance(value, Number):
        yield path, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from numbers_in(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from numbers_in(item, f"{path}[{key}]")
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from numbers_in(item, f"{path}[{i}]")


def told_apart(record: AssayRecord) -> AssayRecord:
    """The record with another value in every number that is no mere repetition.

    Repeated are: the damage of a stratum in each row but the twin, the weaker models' own loss, gap
    and r in each condition's bars, and a baseline's damage there.
    """
    known: dict[tuple[object, ...], Number] = {}

    def of(value: object, role: tuple[object, ...]) -> object:
        if isinstance(value, Number):
            fresh = Number(value=1000.0 + len(known), unit=value.unit)
            return known.setdefault(role, fresh)
        if isinstance(value, BaseModel):
            names = type(value).model_fields
            changes = {n: of(getattr(value, n), shared(value, n, role)) for n in names}
            return value.model_copy(update=changes)
        if isinstance(value, dict):
            return {key: of(item, (*role, key)) for key, item in value.items()}
        if isinstance(value, tuple):
            return tuple(of(item, (*role, i)) for i, item in enumerate(value))
        return value

    def shared(owner: BaseModel, name: str, role: tuple[object, ...]) -> tuple[object, ...]:
        text = role[:2]
        match type(owner).__name__, name:
            case ("Stratum", "damage") if "twin" not in role:
                return (*text, "damage of", owner.family, owner.label)  # type: ignore[attr-defined]
            case ("Bars", "baselines" | "rungs"):
                return (*text, "bars", owner.family, owner.label, owner.condition)  # type: ignore[attr-defined]
            case ("BaselineBar", "damage"):
                return (*role[:5], "cost of", owner.baseline)  # type: ignore[attr-defined]
            case ("RungBar", "loss" | "gap" | "share"):
                return (*role[:5], "rung", owner.rung, name)  # type: ignore[attr-defined]
            case ("BaselineBar", _):
                return (*role, owner.baseline, name)  # type: ignore[attr-defined]
            case ("RungBar", _):
                return (*role, owner.rung, name)  # type: ignore[attr-defined]
            case ("Row", "strata") if owner.kind == "twin":  # type: ignore[attr-defined]
                return (*role, name, "twin")
        return (*role, name)

    changed = of(record, ())
    assert isinstance(changed, AssayRecord)
    return changed


def with_more(record: AssayRecord) -> AssayRecord:
    """Every field that may hold a number holds one: the twin's strata and own damage, too."""
    text = record.texts[0]
    (model,) = [row for row in text.rows if row.name == "strict induction"]
    rows = tuple(
        row.model_copy(
            update={
                "reliability": model.agreement,
                **(
                    {"strata": model.strata, "damage": dict(text.damage)}
                    if row.kind == "twin"
                    else {}
                ),
            }
        )
        for row in text.rows
    )
    singles = tuple(
        row.model_copy(update={"damage": {"mean": text.damage["mean"]}, "reliability": model.loss})
        for row in text.singles
    )
    more = {"rows": rows, "singles": singles, "reliability": model.agreement}
    return record.model_copy(update={"texts": (text.model_copy(update=more), *record.texts[1:])})


def test_every_number_of_a_record_is_in_a_cell(record: AssayRecord) -> None:
    for one in (record, told_apart(with_more(record))):
        shown = list(cells(tuple(assay.blocks(one))))
        there = [number for _, number in shown]
        lost = [path for path, number in numbers_in(one) if number not in there]
        assert not lost
    # None of them twice, where no two are the same.
    values = [number.value for _, number in shown]
    assert len(values) == len(set(values)) == len({n.value for _, n in numbers_in(one)})


def test_strata_stand_in_reading_order_and_the_twin_apart(text: TextResult) -> None:
    twin = next(row for row in text.rows if row.kind == "twin")
    rows = tuple(
        row.model_copy(update={"strata": tuple(reversed(text.rows[4].strata))})
        for row in (text.rows[4], twin)
    )
    found = assay_strata.families(text.model_copy(update={"rows": rows}))
    assert [family.name for family in found] == ["recurrence", "position", "domain"]
    assert [s.label for s in found[1].columns] == ["first 16", "16-63", "64-127"]
    assert found[0].columns[0].label == "first time"
    for family in found:
        assert [row.name for row, _ in family.rows] == ["strict induction"]
        assert [strata for _, strata in family.rows] == [family.columns]


def test_the_sentence_on_scales_names_the_extremes_of_the_claim_in_the_token_view(
    text: TextResult,
) -> None:
    assert assay_rows.differ(text, "mean").startswith(
        "“strict induction” scores 45% on one scale (loss recovered against mean) and 23.1% on "
        "another (variance explained)."
    )
    rows = tuple(row.model_copy(update={"variance": None, "direct": {}}) for row in text.rows)
    assert assay_rows.differ(text.model_copy(update={"rows": rows}), "mean") == ""


def test_a_chart_whose_every_fraction_is_refused_turns_to_another_scale(
    record: AssayRecord, text: TextResult
) -> None:
    assert assay_rows.forest_against(text, "mean") == ("mean", "")
    against, why = assay_rows.forest_against(text, "resample")
    assert against == "mean" and "Against resample ablation" in why
    rows = tuple(
        row.model_copy(update={"recovered": dict.fromkeys(row.recovered, refused())})
        for row in text.rows
    )
    nothing = text.model_copy(update={"rows": rows})
    assert assay_rows.forest_against(nothing, "mean")[0] == ""
    changed = record.model_copy(update={"texts": (nothing,)})
    assert "Increase in loss over the intact model" in words_of(render(changed))
    forest = forest_of(changed, "text-1/recovered")
    assert not forest.share and {m.split("/")[-1] for t in forest.tracks for m in t.marks} == {
        "increase"
    }
    other = forest_of(record.model_copy(update={"reference": "resample"}), "text-1/recovered")
    assert {m.split("/")[-1] for t in other.tracks for m in t.marks} == {"against mean"}


def forest_of(record: AssayRecord, section: str) -> Forest:
    found = walk(drawn(record).record.blocks)
    (forest,) = [b for above, b in found if isinstance(b, Forest) and above == section]
    return forest


def test_an_ablation_that_costs_nothing_that_can_be_told_says_so(record: AssayRecord) -> None:
    tags = {track.name: track.tag for track in forest_of(record, "text-1/costs").tracks}
    assert tags == {"mean": "", "zero": "", "resample": "within noise of zero"}
    assert assay.within_noise(refused()) and not assay.within_noise(
        Number(value=1.0, low=0.5, high=2)
    )
    assert not assay.within_noise(Number(value=0.0))


def test_rows_stand_by_kind_and_their_strokes_are_the_other_ablations(record: AssayRecord) -> None:
    tracks = forest_of(record, "text-1/recovered").tracks
    groups = list(dict.fromkeys(track.group for track in tracks))
    assert groups == [heading for _, heading in assay_rows.GROUPS]
    strict = next(track for track in tracks if track.name == "strict induction")
    assert strict.marks == ("fractions/strict induction/against mean",)
    assert [o.split("/")[-1] for o in strict.others] == ["against zero", "against resample"]


def test_denominators_stand_over_the_shares_of_strata_and_are_not_shaded(
    record: AssayRecord,
) -> None:
    html = render(record)
    table = html[html.index('id="text-1/strata/recurrence"') :]
    rows = table[table.index("<tbody>") : table.index("</tbody>")].split("</tr>")
    assert "19,204" in rows[0] and "damage" in rows[1] and "0.0612" in rows[1]
    assert 'class="h' not in rows[0] + rows[1] and 'class="h7"' in rows[2]
    for above, block in walk(drawn(record).record.blocks):
        if isinstance(block, Table) and above == "text-1/strata" and block.shaded:
            assert block.folded == (block.key != "recurrence")
