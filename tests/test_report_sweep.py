"""A sweep's page and table, from a hand-made record. Every number here is invented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sample_rows import HOSTILE_DOMAIN, HOSTILE_NAME, nats, refused
from test_report import PAYLOAD, assert_harmless, swap_texts, words_of
from unexplained.errors import RecordError
from unexplained.record import Effect, Joint, Number, SweepRecord, load_record
from unexplained.record import format as fmt
from unexplained.report import render, sweeps, text_table


def effect(site: str, value: float, q: float) -> Effect:
    return Effect(site=site, change=nats(value, value - 0.001, value + 0.001),
                  kl=nats(abs(value), 0, abs(value) + 0.001), p=q / 4, q=q)  # fmt: skip


def joint(*sites: str, by: float) -> Joint:
    return Joint(sites=sites, together=nats(0.05, 0.04, 0.06), summed=nats(0.05 - by, 0, 0.06),
                 interaction=nats(by, by - 0.01, by + 0.01))  # fmt: skip


@pytest.fixture
def record() -> SweepRecord:
    effects = (
        effect("L0.H0", 0.0141, 0.001),
        effect("L0.H1", -0.0062, 0.02),
        effect("L1.H0", 0.0003, 0.6),
        effect("L1.H1", 0.031, 0.0001),
    )
    return SweepRecord(
        title=f"Mean ablation of L*.H* in {HOSTILE_NAME}",
        verdict="On webmix, 3 of 4 components are told from no effect.",
        subject=HOSTILE_NAME,
        subject_fingerprint="c0ffee",
        ablation="mean",
        text=HOSTILE_DOMAIN,
        text_fingerprint="deadbeef",
        documents=40,
        tokens=5_080,
        fit_documents=20,
        intact=nats(3.1, 3.0, 3.2),
        effects=effects,
        rate=0.05,
        chosen_on=20,
        reported_on=20,
        joints=(joint("L1.H1", "L0.H0", by=0.012),),
        pairs=(
            joint("L1.H1", "L0.H0", by=0.012),
            joint("L1.H1", "L0.H1", by=-0.02).model_copy(update={"interaction": refused()}),
            joint("L0.H0", "L0.H1", by=0.001),
        ),
        resamples=2000,
        seed=0,
        command="unexplained sweep model",
        versions={"unexplained": "0.1.0"},
        machine={"cores": "2"},
        measured="2026-11-24T12:00:00+00:00",
        seconds=12.0,
    )


def test_the_page_has_every_effect_and_every_joint_and_runs_nothing(record: SweepRecord) -> None:
    html = render(record)
    assert_harmless(html)
    text = words_of(html)
    for one in record.effects:
        assert str(fmt.show(one.change)) in text
        assert sweeps.hover(record, one) in html
    for together in (*record.joints, *record.pairs):
        for number in (together.together, together.summed) if together in record.joints else ():
            assert str(fmt.show(number)) in text
        assert str(fmt.show(together.interaction)) in text
    for term in ("false discovery rate", "interaction", "mean ablation", "KL"):
        assert term in text[text.index("Glossary") :]
    assert html.count("told") >= 3 and "not told from zero" in text


def test_no_field_of_a_sweep_can_put_anything_into_the_page(record: SweepRecord) -> None:
    dumped = swap_texts(record.model_dump(), PAYLOAD)
    assert isinstance(dumped, dict)
    hostile = SweepRecord.model_validate(dumped | {"kind": "sweep"})
    assert_harmless(render(hostile))
    assert "\x1b" not in text_table(hostile)


def test_the_grid_is_by_layer_and_head_and_its_shades_by_size(record: SweepRecord) -> None:
    grid = sweeps.grid(record)
    assert grid is not None and (grid.what, grid.columns) == ("head", ("H0", "H1"))
    assert [layer for layer, _ in grid.rows] == [0, 1]
    shades = [grid.shade(one) for one in record.effects]
    # 10 sqrt(share of 0.031): 6.74, 4.47, 0.98, 10
    assert shades == [7, 4, 1, 10]
    neurons = record.model_copy(
        update={"effects": tuple(effect(f"L0.N{i}", 0.1, 1) for i in range(100))}
    )
    assert sweeps.grid(neurons) is None
    assert "Every head" not in words_of(render(neurons))


def test_the_table_lists_the_strongest_first(record: SweepRecord) -> None:
    table = text_table(record)
    assert table.index("L1.H1") < table.index("L0.H0") < table.index("L0.H1")
    assert "5,080 predictions" in table and "20 documents that did not choose" in table


def test_a_sweep_is_read_back_and_an_unknown_kind_is_refused(
    record: SweepRecord, tmp_path: Path
) -> None:
    path = record.save(tmp_path / "sweep.json")
    assert load_record(path) == record
    text = path.read_text(encoding="utf-8").replace('"kind": "sweep"', '"kind": "sweeep"')
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match="Did you mean sweep"):
        load_record(path)


def test_a_cell_has_no_minus_zero_and_a_refused_effect_says_so(record: SweepRecord) -> None:
    grid = sweeps.grid(record)
    assert grid is not None and grid.step == 0.001  # so that 0.031 has two digits: 31.0
    assert grid.cell(effect("L0.H0", -2e-7, 1)) == "0.0"
    assert grid.cell(effect("L0.H0", -0.0062, 1)) == "−6.2"
    assert grid.cell(Effect(site="L0.H0", change=refused(), p=1, q=1)) == "refused"


def test_pairs_show_their_gate_their_shares_and_their_ranks(record: SweepRecord) -> None:
    logits = {"unit": "logits per pair"}
    first = record.effects[0].model_copy(
        update={"share": Number(value=0.31, low=0.2, high=0.4, unit="share"), "ranks": (2, 9),
                "kl": None, "change": Number(value=-1.5, low=-2, high=-1, **logits)}
    )  # fmt: skip
    lost = record.effects[2].model_copy(update={"p": None, "q": None, "measured": "chosen on"})
    pairs = record.model_copy(
        update={
            "pairs_of_prompts": True, "measure": "logit difference", "ablation": "patch",
            "intact": Number(value=2.5, low=2, high=3, **logits),
            "corrupted": Number(value=-2.5, low=-3, high=-2, **logits),
            "accuracy": Number(value=0.97, low=0.88, high=1, unit="share"),
            "effects": (first, record.effects[1], lost),
        }
    )  # fmt: skip
    page, table = words_of(render(pairs)), text_table(pairs)
    for words in (page, table):
        assert "97% [88%, 100%]" in words and "orbits of pairs" in words and "31%" in words
        assert "2–9" in words and "logits per pair" in words
    assert "let go by the race" in render(pairs)
    assert "over 2, those that a race kept or sampled" in page
    assert "corrected for 2 components" in table
    assert "over all 3" in words_of(
        render(pairs.model_copy(update={"effects": record.effects[:3]}))
    )


def test_every_refused_number_leads_to_its_reason(record: SweepRecord) -> None:
    page = render(record)
    for link in re.findall(r'href="#(sweep-note-\d+)"', page):
        assert f'id="{link}"' in page
    assert 'href="#sweep-note-1"' in page and "Why numbers were refused" in page
