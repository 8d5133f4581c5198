"""What a sweep shows, from hand-made records. Every number here is invented."""

from __future__ import annotations

import pytest

from sample_rows import refused
from sample_sweep import (
    EFFECTS,
    effect,
    random_weights,
    record_of,
    sample_sweep,
    sample_sweep_of_pairs,
    swept,
    swept_of_pairs,
)
from swept import block, by_component
from test_report import words_of
from unexplained.bars import Effect
from unexplained.bars.effects import Swept
from unexplained.record import Record
from unexplained.record.blocks import Forest, Grid
from unexplained.record.ids import walk
from unexplained.report import render, text_table
from unexplained.report.drawn import drawn
from unexplained.report.pen import Pen, Shades
from walked import all_different, numbers_in


@pytest.fixture
def record() -> Record:
    return sample_sweep()


def shades(record: Record, where: str = "alone/grid") -> Shades:
    return Pen(drawn(record)).grid(block(record, where), where.partition("/")[0])


@pytest.mark.parametrize("pairs", [False, True])
def test_no_number_of_a_sweep_is_lost_and_none_is_shown_twice(pairs: bool) -> None:
    whole = (swept_of_pairs(), None) if pairs else (swept(), random_weights())
    found, twin = all_different(whole)  # type: ignore[misc]
    assert isinstance(found, Swept)
    old = dict(numbers_in((found, None if twin is None else twin[1])))
    new = [number for _, number in record_of(found, twin and whole[1]._replace(found=twin[1]),
                                             pairs=pairs).numbers()]  # fmt: skip
    missing = [path for path, number in old.items() if number not in new]
    assert missing == [] and len(new) == len(old)


def test_every_number_of_a_sweep_has_the_id_that_its_component_gives_it(record: Record) -> None:
    found, twin = swept(), random_weights().found
    for one, other in zip(found.effects, twin.effects, strict=True):
        assert record[f"alone/effects/{one.site}/change"] == one.change
        assert record[f"alone/effects/{one.site}/kl"] == one.kl
        assert record[f"alone/effects/{one.site}/twin"] == other.change
        assert by_component(record, "q")[one.site] == f"{one.q:.2g}"
        assert record[f"alone/more/{one.site}/twin-kl"] == other.kl
    assert found.together is not None
    strongest, couple = found.together.joints[0], found.together.couples[1]
    assert record["together/joints/strongest-2/interaction"] == strongest.interaction
    assert record["together/pairs/L1.H1+L0.H1/together"] == couple.together
    assert record["facts/intact/is"] == found.intact
    assert record["twin/facts/intact/is"] == twin.intact


def test_the_page_of_a_sweep_says_what_its_words_mean(record: Record) -> None:
    text = words_of(render(record))
    for term in ("false discovery rate", "interaction", "mean ablation", "KL"):
        assert term in text[text.index("Glossary") :]


def test_the_grid_is_by_layer_and_head_and_its_shades_by_size(record: Record) -> None:
    grid = block(record, "alone/grid")
    assert grid.columns == ("H0", "H1") and [row.name for row in grid.rows] == ["0", "1"]
    placed = shades(record)
    # 10 sqrt(share of 0.031): 6.74, 4.47, 0.98, 10
    assert [one.depth for _, row in placed.rows for one in row if one] == [7, 4, 1, 10]
    assert "Every head" in words_of(render(record))
    neurons = sample_sweep([effect(f"L0.N{i}", 0.1, 1) for i in range(100)])
    assert not any(
        isinstance(one, Grid) and one.key == "grid" for _, one in walk(drawn(neurons).record.blocks)
    )
    assert "Every head" not in words_of(render(neurons))


def test_heads_and_other_parts_of_a_layer_stand_in_the_order_of_their_numbers() -> None:
    sites = ("L2.H10", "L2.H9", "L10.mlp", "L2.mlp")
    grid = block(sample_sweep([effect(s, 0.1, 0.5) for s in sites]), "alone/grid")
    assert grid.columns == ("H9", "H10", "mlp")
    assert [(row.name, [c is not None for c in row.cells]) for row in grid.rows] == [
        ("2", [True, True, True]), ("10", [False, False, True]),
    ]  # fmt: skip


def test_framed_and_coloured_is_what_is_told_from_zero(record: Record) -> None:
    placed = shades(record)
    framed = [one.framed for _, row in placed.rows for one in row if one]
    # q: 0.001, 0.02, 0.6, 0.0001, at a rate of 0.05
    assert framed == [True, True, False, True]
    forest: Forest = block(record, "alone/strongest")
    roles = {track.name: track.role for track in forest.tracks}
    assert roles == {"L1.H1": "ablation", "L0.H0": "ablation", "L0.H1": "ablation",
                     "L1.H0": "baseline"}  # fmt: skip
    notes = {track.name: track.note for track in forest.tracks}
    assert notes["L1.H0"] == "q = 0.6, within noise of zero" and notes["L0.H0"] == "q = 0.001"


def test_a_cell_has_no_minus_zero_and_a_refused_effect_says_so() -> None:
    changes = (effect("L0.H0", -2e-7, 1), EFFECTS[1], EFFECTS[3],
               Effect(site="L1.H0", change=refused(), p=1, q=1))  # fmt: skip
    placed = shades(sample_sweep(changes))
    assert placed.step == 0.001  # so that 0.031 has two digits: 31.0
    words = [one.words for _, row in placed.rows for one in row if one]
    assert words == ["0.0", "−6.2", "refused", "31.0"]


def test_two_at_a_time_stand_in_a_square_the_same_either_way(record: Record) -> None:
    placed = shades(record, "together/two")
    cells = {name: [one and one.words for one in row] for name, row in placed.rows}
    assert cells == {
        "L1.H1": [None, "12.0", "refused"], "L0.H0": ["12.0", None, "1.0"],
        "L0.H1": ["refused", "1.0", None],
    }  # fmt: skip
    grid: Grid = block(record, "together/two")
    # 0.012 [0.002, 0.022]; 0.001 [-0.009, 0.011]
    assert grid.framed == ("pairs/L1.H1+L0.H0/interaction",)


def test_the_terminal_lists_the_strongest_first(record: Record) -> None:
    table = text_table(record, full=True)
    assert table.index("L1.H1") < table.index("L0.H0") < table.index("L0.H1")
    assert "scored: 5,080" in table and "20 documents that did not choose" in table


def test_pairs_show_their_gate_their_shares_and_their_ranks() -> None:
    pairs = sample_sweep_of_pairs()
    page, table = words_of(render(pairs)), text_table(pairs, full=True)
    for words in (page, table):
        assert "97% [88%, 100%]" in words and "rbits of pairs" in words and "31%" in words
        assert "2–9" in words and "logits per pair" in words
    assert "let go by the race" in render(pairs)
    assert "over 2, those that a race kept or sampled" in page
    assert "corrected for 2 components" in table
    ranks = by_component(pairs, "ranks")
    assert ranks["L0.H0"] == "2–9" and ranks["L0.H1"] == "1"
    assert by_component(pairs, "measured")["L1.H0"] == "only where a race chose"
    plain = sample_sweep_of_pairs(EFFECTS[:3])
    assert "over all 3" in words_of(render(plain))


def test_a_sweep_of_pairs_counts_pairs_and_its_intervals_are_over_orbits() -> None:
    assert "Other orbits of pairs" not in render(sample_sweep_of_pairs())
