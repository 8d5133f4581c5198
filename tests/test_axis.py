"""A family of the user's own as the axis: the ladder given as one, by both ways; and what is refused."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

import unexplained as ux
from drawing import table_of
from test_assay import own_cache  # noqa: F401  (a fixture)
from test_family import MERGES, prose, uniform  # noqa: F401  (prose is a fixture)
from unexplained import Member
from unexplained.bars import scales
from unexplained.bars.reading import Reading
from unexplained.errors import CurveError, MeasurementError, SubjectError, TextError
from unexplained.explanations.stand_in import find_stand_in
from unexplained.ladder.catalogue import catalogue
from unexplained.ladder.family import Family, _shipped, family_of, shipped_beside
from unexplained.ledger import BITS, Ledger
from unexplained.record.compute import Scale
from unexplained.report import text_table
from unexplained.settings import Settings
from unexplained.study import arms
from unexplained.study.axis import Axis, axis_of
from unexplained.study.run import Run
from unexplained.subject import Subject

SETTINGS = Settings(resamples=200)
FILL = "mean"
RUNGS = ("rung-1", "rung-2", "rung-4")
NAMES = tuple(one.name for one in catalogue().rungs())


def rung(name: str) -> Subject:
    """A model that ships, opened once."""
    return _shipped(name, "cpu")


@lru_cache(maxsize=1)
def run() -> Run:
    """The third rung on pages of documentation."""
    subject = rung("rung-3")
    text = ux.text("pydocs", subject, documents=24, fit_documents=4, block=96)
    # What one way measures the next finds again.
    return Run(subject, (text,), SETTINGS, Path(tempfile.mkdtemp()))


@lru_cache(maxsize=4)
def placed(way: str) -> tuple[Axis, Reading, Scale]:
    """A mean-ablated layer, among the ladder, or among the same models given by a user."""
    family = None
    if way != "ladder":
        family = Family(tuple(members()), by_byte=way == "by byte")
    axis = axis_of(run(), family)
    fill = arms.ablation(run(), FILL, run().subject.sites("L1.H*"))
    read = axis.read(run().measure(fill, *axis.arms, tokens=axis.tokens()))
    scale = axis.scale(read, [FILL])
    assert scale is not None
    return axis, read, scale


def test_the_ladder_is_a_family_whose_equal_computes_are_the_seeds_of_a_rung() -> None:
    family = shipped_beside(run().subject)
    found = [(one.name, one.rung, one.seed, one.compute, one.tokens) for one in family.runs]
    assert found == [(o.name, o.rung, o.seed, o.compute, o.tokens) for o in catalogue().rungs()]
    assert family.itself == "rung-3" and "rung-3" not in family.compared
    assert family.runs_of("rung-2") == ["rung-2", "rung-2-seed-1", "rung-2-seed-2"]
    assert family.runs_of("rung-2-seed-1") == ["rung-2-seed-1"]


def test_the_ladder_given_as_a_family_with_the_same_tokens_gives_the_same_numbers() -> None:
    (ladder, read, scale), (axis, own, mine) = placed("ladder"), placed("tokens")
    assert axis.family.itself == "rung-3" and axis.compared == ladder.compared
    assert mine.rungs == tuple(
        one.model_copy(update={"tokens": 0, "parameters": mine.rungs[i].parameters})
        for i, one in enumerate(scale.rungs)
    )
    (there,), (here,) = scale.explained, mine.explained
    assert here.equals == there.equals and mine.law == scale.law and mine.scatter == scale.scatter
    assert here.shares == {k: n for k, n in there.shares.items() if k in here.shares}
    assert set(here.shares) >= {"frontier", "between rungs"}
    assert not set(here.shares) & {"own run", "annealed", "data"}  # nothing of it is borrowed
    assert own.place(FILL, axis.compared, axis.seeds(own)) == read.place(
        FILL, ladder.compared, ladder.seeds(read)
    )
    assert "rung-3 is the model itself" in mine.says


def test_by_byte_the_same_models_have_the_same_places_within_the_intervals() -> None:
    (ladder, read, scale), (axis, own, mine) = placed("ladder"), placed("by byte")
    assert axis.cut is not None and not axis.others and mine.unit == BITS
    assert axis.compared == ladder.compared and len(mine.rungs) == len(scale.rungs)
    (there,), (here,) = scale.explained, mine.explained
    pairs = [(here.equals, there.equals)]
    pairs += [(number, there.shares[kind]) for kind, number in here.shares.items()]
    for one, other in pairs:
        assert one.value is not None and other.low <= one.value <= other.high
        assert one.low <= other.value <= one.high
    # The model itself is the run of its rung, and not measured again under another name.
    (itself,) = [one for one in mine.rungs if one.name == "rung-3"]
    assert itself.loss == mine.subject.loss and "rung-3" not in own.ledger.conditions
    places = [r.place(FILL, a.compared, a.seeds(r)).comparisons for a, r in
              ((ladder, read), (axis, own))]  # fmt: skip
    for one, other in zip(*places, strict=True):
        assert one.rung == other.rung and {one.standing, other.standing} != {"beats", "loses"}
    assert (
        own.loss().unit == BITS == own.bars([FILL], ["rung-1"], axis.compared)[0].rungs[0].gap.unit
    )


def members(names: Sequence[str] = NAMES) -> list[Member]:
    """Models that ship as a user names them, opened once."""
    return [replace(one, open=partial(rung, one.name)) for one in family_of(names).members]


def test_by_both_ways_a_sweep_places_its_strongest_together_where_they_were_not_chosen() -> None:
    here, found = run(), []
    _, reporting = here.text.halves()
    at = here.on(reporting)
    for by_byte in (False, True):
        family = Family(tuple(members(RUNGS)), by_byte=by_byte)
        record = ux.sweep(here.subject, "L1.H*", here.text, family=family, pairs=0, twin=False,
                          settings=SETTINGS, folder=here.folder)  # fmt: skip
        row = table_of(record, "conditions")["without the strongest 2"]
        axis = axis_of(at, family)
        fill = arms.ablation(
            at, FILL, at.subject.sites(table_of(record, "joints")["strongest-2"].note)
        )
        read = axis.read(at.measure(fill, *axis.arms, tokens=axis.tokens()))
        (expected,) = axis.scale(read, [fill.name]).explained
        assert row.cells[:2] == (expected.loss, expected.equals) and expected.equals.value
        assert "Without the strongest 2: left of its training compute: " in text_table(record)
        found.append(expected.equals)
    one, other = found
    assert one.low <= other.value <= one.high and other.low <= one.value <= other.high
    with pytest.raises(MeasurementError, match="A family of models in a sweep of pairs"):
        ux.sweep(here.subject, "L1.H*", ux.pairs("agreement", here.subject, pairs=24, fit_pairs=4),
                 family=family, gated=False)  # fmt: skip


def test_a_subspace_is_placed_with_the_loss_that_it_has() -> None:
    subject, family = rung("rung-3"), Family(tuple(members(RUNGS)))
    text = ux.text("pydocs", subject, documents=8, fit_documents=8, block=48)
    record = ux.subspace(subject, "L1.H0.z", text, directions="4", draws=5, family=family,
                         settings=SETTINGS, folder=None)  # fmt: skip
    found, kept = table_of(record, "conditions"), dict(record.numbers())
    (name,) = [row.name for row in found.values() if row.role == "fitted"]
    losses = [found[one].cells[0].value for one in (name, "intact", "mean")]
    assert losses[0] - losses[1] == pytest.approx(kept["subspace/kept/claim/loss"].value)
    assert losses[2] - losses[1] == pytest.approx(kept["facts/worth/is"].value)
    at = Run(subject, (text,), SETTINGS)
    claim = arms.claims(at, subject.sites("L1.H0"), [find_stand_in("projection:4")])
    axis = axis_of(at, family)
    read = at.measure(*claim, arms.ablation(at, FILL, at.subject.sites("L1.H0")), *axis.arms)
    (there,) = axis.scale(read, [claim[0].name]).explained
    assert (there.loss, there.equals) == found[name].cells[:2] and there.equals.value
    assert f"{name.capitalize()}: left of its training compute: 9" in text_table(record)


def uniform_run(source: str) -> tuple[Run, Subject, Subject]:
    """A model uniform over bytes, on prose, and one of longer tokens."""
    subject, merged = uniform("bytes", []), uniform("merged", MERGES)
    text = ux.text(source, subject, documents=12, fit_documents=4, block=300)
    return Run(subject, (text,), SETTINGS), subject, merged


def test_by_byte_every_condition_has_the_losses_of_the_same_characters(prose: str) -> None:  # noqa: F811
    here, subject, merged = uniform_run(prose)
    axis = axis_of(here, Family((Member("merged", lambda: merged, 1e12),)))
    read = axis.read(here.measure(tokens=axis.tokens()))
    assert read.ledger.unit == BITS and set(read.ledger.conditions) == {"intact", "merged"}
    # Of a model whose every byte is a token of 8 bits.
    assert read.loss().value == pytest.approx(8, abs=1e-5)
    words = {  # what is scored, from the text's own tokens: a byte is a token
        b.document: b.tokens[where.start + 1 : where.stop + 1]
        for b in here.text.eval
        for where, size in [axis.cut.stretches(0)[b.document]]
    }
    spelt = {name: subject.tokenizer.decode(ids.tolist()) for name, ids in words.items()}
    assert all(one.startswith(" ") and not one[-1].isspace() for one in spelt.values())
    blank = subject.tokenizer.convert_tokens_to_ids("Ġ")
    after = {
        b.document: b.tokens[axis.cut.stretches(0)[b.document][0].stop + 1] for b in here.text.eval
    }
    assert set(after.values()) == {blank}  # nobody has to spell half of a word
    tokens = {name: len(merged.tokenizer(one)["input_ids"]) for name, one in spelt.items()}
    sums = read.ledger.sums("merged")
    for name, bits, size in zip(sums.documents, sums.loss, sums.tokens, strict=True):
        assert size == len(spelt[name].encode())
        assert bits == pytest.approx(math.log2(256 + len(MERGES)) * tokens[name], abs=1e-3)


def test_models_of_unknown_compute_are_placed_by_loss_and_their_compute_is_refused(
    prose: str,  # noqa: F811
) -> None:
    here, _, merged = uniform_run(prose)
    better = uniform("better", MERGES[:3])
    members = (Member("merged", lambda: merged), Member("better", lambda: better, 1e12))
    axis = axis_of(here, Family(members))
    read = axis.read(here.measure(tokens=axis.tokens()))
    scale = axis.scale(read, [])
    assert scale is not None and scale.law is None and [r.name for r in scale.rungs] == ["better"]
    (placed,) = scale.explained
    assert placed.condition == "merged" and placed.loss.value < 8
    assert "that of merged is not given" in placed.equals.refused
    assert "one training compute is known in this family, and a curve takes 3" in scale.refused
    comparisons = read.place("intact", axis.compared).comparisons
    assert [c.rung for c in comparisons] == ["better", "merged"]  # the highest loss first
    said = text_table(ux.rewrite(here.subject, here.text, sites="L0.H0", family=members,
                                 settings=SETTINGS), full=True)  # fmt: skip
    assert "There is no curve: " in said and "FLOPS" in said and BITS in said


def test_a_family_that_is_all_stronger_or_is_the_model_alone_says_so() -> None:
    weak = Run(rung("rung-1"), run().texts, SETTINGS)
    axis = axis_of(weak, family_of(["rung-2", "rung-3", "rung-4"]))
    fill = arms.ablation(weak, FILL, weak.subject.sites("L0.H0"))
    read = axis.read(weak.measure(fill, *axis.arms, tokens=axis.tokens()))
    scale = axis.scale(read, [])
    assert scale is not None and scale.law is not None and scale.subject is not None
    assert scale.subject.equals.value is None or scale.extrapolated(scale.subject)
    assert "not known and not in the intervals" in scale.scatter  # nothing borrowed from the ladder
    assert all(one.score.refused for one in read.bars([FILL], ["rung-4"], axis.compared)[0].rungs)
    alone = axis_of(weak, family_of(["rung-1"]))
    assert alone.family.itself == "rung-1" and not alone.arms and not alone.compared
    scale = alone.scale(weak.measure(), [])
    assert scale is not None and "one training compute is known" in scale.refused


def test_a_family_is_read_from_words_files_and_mappings(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"a/b": 1e20, "c/d": "70e6x3e11", "e/f": None, "rung-3": None}))
    there = family_of([path, "g=2e20"])
    assert there is not None
    computes = {one.name: one.compute for one in there.members}
    rung_3 = catalogue().named("rung-3").compute
    assert computes == {
        "a/b": 1e20,
        "c/d": 6 * 70e6 * 3e11,
        "e/f": None,
        "rung-3": rung_3,
        "g": 2e20,
    }
    assert there.unknown == ("e/f",)
    assert family_of({"a/b": "70e6x3e11"}).members[0].compute == 6 * 70e6 * 3e11
    mine = rung("rung-1")
    assert family_of({mine: 5.0}).members[0].open() is mine
    assert family_of(None) is None is family_of([])
    assert family_of(["by-byte", "rung-1"]).by_byte and not family_of(["rung-1"]).by_byte


def test_bad_families_are_refused_by_name(tmp_path: Path) -> None:
    for wrong, said in (
        (["a=many"], "neither a number"),
        (["a=0"], "neither a number"),
        (["a=nan"], "not positive and finite"),
        ({"a": True}, "it is True"),
        ({"a": [1]}, r"it is \[1\]"),
    ):
        with pytest.raises(CurveError, match=said):
            family_of(wrong)
    for text, said in (("[]", "holds nothing"), ('["a=1"]', "a list"), ("{", "not JSON")):
        path = tmp_path / "wrong.json"
        path.write_text(text)
        with pytest.raises(CurveError, match=said):
            family_of(str(path))
    with pytest.raises(CurveError, match="A family by byte: it has no model"):
        family_of("by-byte")
    with pytest.raises(CurveError, match="no such file"):
        family_of("missing.json")
    with pytest.raises(MeasurementError, match="'a': it is given twice"):
        family_of(["a=1e20", "a=2e20"])
    with pytest.raises(SubjectError, match="rung-44"):
        axis_of(run(), family_of(["rung-44=1e12"]))
    twice = (
        Member("one", partial(rung, "rung-1"), 1.0),
        Member("two", partial(rung, "rung-1"), 2.0),
    )
    with pytest.raises(MeasurementError, match="one and two: they are one model"):
        axis_of(run(), Family(twice))
    with pytest.raises(MeasurementError, match="'mean' of the family"):
        axis_of(run(), Family((Member("mean", partial(rung, "rung-1"), 1.0),)))


def test_losses_in_two_units_are_no_ledger() -> None:
    (_, read, _), (_, own, _) = placed("ladder"), placed("by byte")
    with pytest.raises(MeasurementError, match="in nats per token and in bits per byte"):
        Ledger.concat([read.ledger, own.ledger])
    assert own.ledger.only(["intact"]).also({"again": "intact"}).unit == BITS


def test_where_tokens_are_compared_other_tokenizers_are_refused(prose: str) -> None:  # noqa: F811
    here, subject, merged = uniform_run(prose)
    family = Family((Member("merged", lambda: merged, 1e12),))
    with pytest.raises(MeasurementError, match="The family of merged beside bytes: what is right"):
        ux.tasks(subject, here.text, task=["repeats"], sites="L0.H0", family=family)
    pairs = ux.pairs("agreement", rung("rung-1"), pairs=12, fit_pairs=4)
    beside = Run(rung("rung-1"), (pairs,), SETTINGS)
    with pytest.raises(TextError, match="pairs of prompts, which are scored at their last token"):
        axis_of(beside, family)


def test_other_runs_of_a_gap_are_those_of_equal_compute_in_the_family() -> None:
    computes = {
        f"{size} {seed}": float(c) for size, c in (("big", 9), ("small", 3)) for seed in "abc"
    }
    family = Family(tuple(Member(name, lambda: pytest.fail("opened"), c)
                          for name, c in computes.items()))  # fmt: skip
    assert family.other_runs("big a", "small b") == [("big b", "small a"), ("big c", "small c")]
    assert family.other_runs("big a", "nobody") == []


@pytest.mark.usefixtures("own_cache")
def test_on_the_command_line_a_family_is_the_scale_of_a_rewriting(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prose: str,  # noqa: F811
) -> None:
    from unexplained.cli.app import app

    monkeypatch.setenv("COLUMNS", "100")
    asked = ["rewrite", "rung-4", "--sites", "L0.H0", "--draws", "1", "--text", prose,
             "--documents", "6", "--fit-documents", "4", "--block", "32", "--out", str(tmp_path)]  # fmt: skip
    given = [word for name in ("rung-1", "rung-2=1.2e12", "rung-3=36e3x17e6") for word in
             ("--family", name)]  # fmt: skip
    done = CliRunner().invoke(app, [*asked, *given])
    assert done.exit_code == 0, done.output
    record = ux.load_record(next(tmp_path.glob("*.json")))
    assert set(table_of(record, "rungs")) == {"rung-1", "rung-2", "rung-3"} == set(record.others)
    assert table_of(record, "rungs")["rung-3"].cells[0] == 6 * 36e3 * 17e6
    for wrong, said in (("rung-22=1e12", "rung-2"), ("rung-2=many", "neither a number")):
        done = CliRunner().invoke(app, [*asked, "--family", wrong])
        assert done.exit_code != 0 and said in " ".join(str(done.exception or done.output).split())


def test_scales_of_families_have_no_columns_of_runs_that_nobody_gave() -> None:
    _, _, mine = placed("tokens")
    keys = [kind for kind, _, _ in scales.kinds(mine)]
    assert "own run" not in keys and "between rungs" in keys
