"""The gate before a behaviour is explained, and a folder that belongs to one run."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import unexplained as ux
from swept import fact
from test_assay import subject_of
from unexplained.errors import MeasurementError, TextError
from unexplained.evaluate.activations import observe
from unexplained.evaluate.store import run_folder
from unexplained.study import Run
from unexplained.study.gate import gate, roles
from unexplained.testbeds.prompts import one_back, pairs_text, two_slots
from unexplained.text import Pair

SETTINGS = ux.Settings(resamples=200)


def test_a_behaviour_that_the_model_has_passes_and_its_numbers_are_those_derived() -> None:
    subject, _ = subject_of("soft_induction")
    found = gate(Run(subject, (pairs_text("one back", one_back),), SETTINGS))
    assert found.passed
    assert found.accuracy.value == 1
    assert found.accuracy.low == pytest.approx(0.025 ** (1 / 12))  # of 12 orbits, all right


def test_a_behaviour_that_the_model_does_not_have_is_refused_with_its_accuracy() -> None:
    subject, _ = subject_of("empty")
    text = pairs_text("one back", one_back)
    assert not gate(Run(subject, (text,), SETTINGS)).passed
    for run in (ux.sweep, lambda s, _, t, **o: ux.circuit(s, t, **o)):
        with pytest.raises(MeasurementError, match=r"prefers the right answer in \d+%"):
            run(subject, "L*.H*", text, settings=SETTINGS)
    record = ux.sweep(
        subject, "L1.H*", text, ablation="patch", measure="logit difference", gated=False,
        settings=SETTINGS,
    )  # fmt: skip
    assert " 0 of 4 components" in record.verdict


def test_a_behaviour_that_the_model_has_in_one_role_alone_is_refused_and_says_which() -> None:
    """Three quarters of all pairs are right, surely more than chance: all of one role, half of the other."""
    subject, _ = subject_of("soft_induction")
    whole = pairs_text("one back", one_back, orbits=40)
    seen: Counter[str] = Counter()
    blocks = []
    for pair in whole.eval:
        assert isinstance(pair, Pair)
        second = seen[pair.orbit] % 2 == 1
        seen[pair.orbit] += 1
        # The other prompt is run: the model is right, and so says the other word.
        blocks.append(pair.swapped() if second and len(seen) % 2 else pair)
    for labels, names in (({}, ("the first role", "the other role")),
                          ({"way": ""}, ("way up", "way down"))):  # fmt: skip
        marked, order = [], Counter()
        for pair in blocks:
            way = ("up", "down")[order[pair.orbit] % 2]
            order[pair.orbit] += 1
            marked.append(replace(pair, labels={"way": way} if labels else {}))
        text = replace(whole, eval=tuple(marked), name=names[0]).first(len(marked))
        found = gate(Run(subject, (text,), SETTINGS))
        assert found.accuracy.value == pytest.approx(0.75)
        assert found.accuracy.low is not None and found.accuracy.low > 0.5
        assert [role.accuracy.value for role in found.roles] == [1.0, 0.5]
        assert tuple(role.says for role in found.roles) == names
        assert not found.passed and found.fails == f"not told from chance in {names[1]}"
        says = rf"of the \d+ in {names[0]} 100%.*, of the \d+ in {names[1]} 50%.*gated=False"
        with pytest.raises(MeasurementError, match=says):
            ux.sweep(subject, "L*.H*", text, ablation="patch", settings=SETTINGS)


def test_an_accuracy_of_few_pairs_is_refused() -> None:
    """All of four pairs right is 100%, and chance one time in sixteen."""
    subject, _ = subject_of("soft_induction")
    text = pairs_text("one back", one_back, orbits=4)
    found = gate(Run(subject, (text,), SETTINGS))
    assert found.accuracy.value is None and "it takes 6" in found.accuracy.refused
    assert not found.passed and found.fails.startswith("too few pairs")
    with pytest.raises(TextError, match="it takes 6"):
        ux.circuit(subject, text, settings=SETTINGS)
    enough = gate(Run(subject, (pairs_text("one back", one_back, orbits=6),), SETTINGS))
    assert enough.passed and enough.accuracy.value == 1


def test_roles_are_the_words_parts_in_whatever_order_an_orbit_has_them() -> None:
    text = pairs_text("two slots", two_slots, orbits=6)
    (_, one), (_, other) = roles(text)
    assert len(one.eval) == len(other.eval) == len(text.eval) / 2
    assert one.units == other.units == text.units
    for half in (one, other):
        for orbit in half.units:
            words = {(p.answer, p.wrong) for p in half.eval if p.unit == orbit}
            assert not words & {(wrong, answer) for answer, wrong in words}


def test_a_sweep_over_pairs_that_are_all_measured_refuses_by_name_what_is_fitted() -> None:
    subject, _ = subject_of("soft_induction")
    text = pairs_text("one back", one_back, orbits=12)
    alone = replace(text, fit=()).first(len(text.eval))
    record = ux.sweep(subject, "L1.H*", alone, ablation="patch", measure="logit difference",
                      settings=SETTINGS)  # fmt: skip
    assert fact(record, "fit-documents") is None and fact(record, "documents") == 12
    for name in ("mean", "position mean", "resample"):
        with pytest.raises(
            TextError, match=f"{name.capitalize()} ablation on one back: .*fit_pairs"
        ):
            ux.sweep(subject, "L1.H*", alone, ablation=name, settings=SETTINGS)
    with pytest.raises(TextError, match="Attribution to edges on one back"):
        ux.circuit(subject, alone, settings=SETTINGS)
    with pytest.raises(TextError, match="fit part, and there is nothing in it"):
        observe(subject, alone, subject.sites("L1.H0.z"))


def test_a_run_folder_is_for_one_run_and_says_how_another_differs(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for _ in range(2):  # the same run may go on
        with run_folder(folder, {"model": "a", "text": "x"}):
            pass
    with (
        pytest.raises(MeasurementError, match=r"holds another run: model is a there and b here"),
        run_folder(folder, {"model": "b", "text": "x"}),
    ):
        pass
    with (
        pytest.raises(MeasurementError, match=r"run: model is a there and c here\."),
        run_folder(folder, {"model": "c", "weights": "w"}),
    ):
        pass
    with (
        pytest.raises(MeasurementError, match=r"run: seed is missing there and 1 here\."),
        run_folder(folder, {"model": "a", "text": "x", "seed": "1"}),
    ):
        pass
    (folder / "run.json").write_text("not json", encoding="utf-8")
    with (
        pytest.raises(MeasurementError, match="cannot be read"),
        run_folder(folder, {"model": "a", "text": "x"}),
    ):
        pass
    with run_folder(None, {}):
        assert list(tmp_path.iterdir()) == [folder]
