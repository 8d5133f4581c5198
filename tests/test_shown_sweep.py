"""What a sweep shows, from hand-made records. Every number here is invented."""

from __future__ import annotations

import pytest

from drawing import drawn, render, text_table
from sample_rows import refused
from sample_sweep import effect, sample_sweep, sample_sweep_of_pairs
from test_report import PAYLOAD, assert_harmless, swap_texts, words_of
from unexplained.record import Effect, SweepRecord
from unexplained.record.blocks import Block, Forest, Grid, Table, walk
from unexplained.report.pen import Pen, Shades
from walked import all_different, numbers_in


@pytest.fixture
def record() -> SweepRecord:
    return sample_sweep()


def block(record: SweepRecord, key: str) -> tuple[str, Block]:
    found = [(a, b) for a, b in walk(drawn(record).record.blocks) if getattr(b, "key", "") == key]
    assert len(found) == 1
    return found[0]


def shades(record: SweepRecord, key: str = "grid") -> Shades:
    above, grid = block(record, key)
    assert isinstance(grid, Grid)
    return Pen(drawn(record)).grid(grid, above)


def cell(record: SweepRecord, row: str, column: str) -> object:
    _, table = block(record, "effects")
    assert isinstance(table, Table)
    where = [one.key for one in table.columns].index(column)
    return next(one.cells[where] for one in table.rows if one.key == row)


@pytest.mark.parametrize("sample", [sample_sweep, sample_sweep_of_pairs])
def test_no_number_of_a_sweep_is_lost_and_none_is_shown_twice(sample: object) -> None:
    record = all_different(sample())  # type: ignore[operator]
    assert isinstance(record, SweepRecord)
    old = {path: number for path, number in numbers_in(record)}
    new = [number for _, number in drawn(record).numbers.items()]
    missing = [path for path, number in old.items() if number not in new]
    assert missing == [] and len(new) == len(old)


def test_every_number_of_a_sweep_has_the_id_that_its_component_gives_it(
    record: SweepRecord,
) -> None:
    numbers = drawn(record).numbers
    assert record.twin is not None
    for one in record.effects:
        assert numbers[f"alone/effects/{one.site}/change"] == one.change
        assert numbers[f"alone/effects/{one.site}/kl"] == one.kl
        assert numbers[f"alone/effects/{one.site}/twin"] == record.on_twin(one.site)
        assert cell(record, one.site, "q") == f"{one.q:.2g}"
    for one, other in zip(record.twin.effects, record.effects, strict=True):
        assert numbers[f"alone/more/{other.site}/twin-kl"] == one.kl
    assert numbers["together/joints/strongest-2/interaction"] == record.joints[0].interaction
    assert numbers["together/pairs/L1.H1+L0.H1/together"] == record.pairs[1].together
    assert numbers["facts/intact/is"] == record.intact
    assert numbers["twin/facts/intact/is"] == record.twin.intact


def test_the_page_of_a_sweep_says_what_its_words_mean(record: SweepRecord) -> None:
    text = words_of(render(record))
    for term in ("false discovery rate", "interaction", "mean ablation", "KL"):
        assert term in text[text.index("Glossary") :]


def test_no_field_of_a_sweep_can_put_anything_into_the_page(record: SweepRecord) -> None:
    dumped = swap_texts(record.model_dump(), PAYLOAD)
    assert isinstance(dumped, dict)
    dumped["twin"]["kind"] = "sweep"
    hostile = SweepRecord.model_validate(dumped | {"kind": "sweep"})
    assert_harmless(render(hostile))
    assert "\x1b" not in text_table(hostile, full=True)


def test_the_grid_is_by_layer_and_head_and_its_shades_by_size(record: SweepRecord) -> None:
    _, grid = block(record, "grid")
    assert isinstance(grid, Grid)
    assert grid.columns == ("H0", "H1") and [row.name for row in grid.rows] == ["0", "1"]
    placed = shades(record)
    # 10 sqrt(share of 0.031): 6.74, 4.47, 0.98, 10
    assert [one.depth for _, row in placed.rows for one in row if one] == [7, 4, 1, 10]
    assert "Every head" in words_of(render(record))
    neurons = record.model_copy(
        update={"effects": tuple(effect(f"L0.N{i}", 0.1, 1) for i in range(100))}
    )
    assert not any(
        isinstance(one, Grid) and one.key == "grid" for _, one in walk(drawn(neurons).record.blocks)
    )
    assert "Every head" not in words_of(render(neurons))


def test_heads_and_other_parts_of_a_layer_stand_in_the_order_of_their_numbers(
    record: SweepRecord,
) -> None:
    sites = ("L2.H10", "L2.H9", "L10.mlp", "L2.mlp")
    parts = record.model_copy(update={"effects": tuple(effect(s, 0.1, 0.5) for s in sites)})
    _, grid = block(parts, "grid")
    assert isinstance(grid, Grid)
    assert grid.columns == ("H9", "H10", "mlp")
    assert [(row.name, [c is not None for c in row.cells]) for row in grid.rows] == [
        ("2", [True, True, True]), ("10", [False, False, True]),
    ]  # fmt: skip


def test_framed_and_coloured_is_what_is_told_from_zero(record: SweepRecord) -> None:
    placed = shades(record)
    framed = [one.framed for _, row in placed.rows for one in row if one]
    # q: 0.001, 0.02, 0.6, 0.0001, at a rate of 0.05
    assert framed == [True, True, False, True]
    _, forest = block(record, "strongest")
    assert isinstance(forest, Forest)
    roles = {track.name: track.role for track in forest.tracks}
    assert roles == {"L1.H1": "ablation", "L0.H0": "ablation", "L0.H1": "ablation",
                     "L1.H0": "baseline"}  # fmt: skip
    notes = {track.name: track.note for track in forest.tracks}
    assert notes["L1.H0"] == "q = 0.6, not told from zero" and notes["L0.H0"] == "q = 0.001"


def test_a_cell_has_no_minus_zero_and_a_refused_effect_says_so(record: SweepRecord) -> None:
    changes = (effect("L0.H0", -2e-7, 1), record.effects[1], record.effects[3],
               Effect(site="L1.H0", change=refused(), p=1, q=1))  # fmt: skip
    placed = shades(record.model_copy(update={"effects": changes}))
    assert placed.step == 0.001  # so that 0.031 has two digits: 31.0
    words = [one.words for _, row in placed.rows for one in row if one]
    assert words == ["0.0", "−6.2", "refused", "31.0"]


def test_two_at_a_time_stand_in_a_square_the_same_either_way(record: SweepRecord) -> None:
    placed = shades(record, "two")
    cells = {name: [one and one.words for one in row] for name, row in placed.rows}
    assert cells == {
        "L1.H1": [None, "12.0", "refused"], "L0.H0": ["12.0", None, "1.0"],
        "L0.H1": ["refused", "1.0", None],
    }  # fmt: skip
    _, grid = block(record, "two")
    assert isinstance(grid, Grid)
    # 0.012 [0.002, 0.022]; 0.001 [-0.009, 0.011]
    assert grid.framed == ("pairs/L1.H1+L0.H0/interaction",)


def test_the_terminal_lists_the_strongest_first(record: SweepRecord) -> None:
    table = text_table(record)
    assert table.index("L1.H1") < table.index("L0.H0") < table.index("L0.H1")
    assert "scored: 5,080" in table and "20 documents that did not choose" in table


def test_pairs_show_their_gate_their_shares_and_their_ranks() -> None:
    pairs = sample_sweep_of_pairs()
    page, table = words_of(render(pairs)), text_table(pairs)
    for words in (page, table):
        assert "97% [88%, 100%]" in words and "rbits of pairs" in words and "31%" in words
        assert "2–9" in words and "logits per pair" in words
    assert "let go by the race" in render(pairs)
    assert "over 2, those that a race kept or sampled" in page
    assert "corrected for 2 components" in table
    assert cell(pairs, "L0.H0", "ranks") == "2–9" and cell(pairs, "L0.H1", "ranks") == "1"
    assert cell(pairs, "L1.H0", "measured") == "only where a race chose"
    plain = pairs.model_copy(update={"effects": sample_sweep().effects[:3]})
    assert "over all 3" in words_of(render(plain))


def test_a_sweep_of_pairs_counts_pairs_and_its_intervals_are_over_orbits() -> None:
    assert (drawn(sample_sweep()).record.needed, drawn(sample_sweep()).record.units) == (
        "tokens",
        "documents",
    )
    pairs = sample_sweep_of_pairs()
    assert (drawn(pairs).record.needed, drawn(pairs).record.units) == ("pairs", "orbits")
    assert "Other orbits of pairs" not in render(pairs)
