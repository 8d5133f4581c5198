"""The gate before a behaviour is explained, and a folder that belongs to one run."""

from __future__ import annotations

from pathlib import Path

import pytest

import unexplained as ux
from test_assay import subject_of
from unexplained.assays.gate import gate
from unexplained.errors import MeasurementError
from unexplained.evaluate.store import run_folder
from unexplained.testbeds.prompts import one_back, pairs_text

SETTINGS = ux.Settings(resamples=200)


def test_a_behaviour_that_the_model_has_passes_and_its_numbers_are_those_derived() -> None:
    subject, _ = subject_of("soft_induction")
    found = gate(subject, pairs_text("one back", one_back), settings=SETTINGS)
    assert found.passed
    assert found.accuracy.value == 1 and found.accuracy.low == 1


def test_a_behaviour_that_the_model_does_not_have_is_refused_with_its_accuracy() -> None:
    subject, _ = subject_of("empty")
    text = pairs_text("one back", one_back)
    assert not gate(subject, text, settings=SETTINGS).passed
    for run in (ux.sweep, lambda s, _, t, **o: ux.circuit(s, t, **o)):
        with pytest.raises(MeasurementError, match=r"prefers the right answer in \d+%"):
            run(subject, "L*.H*", text, settings=SETTINGS)
    record = ux.sweep(
        subject, "L1.H*", text, ablation="patch", measure="logit difference", gated=False,
        settings=SETTINGS,
    )  # fmt: skip
    assert " 0 of 4 components" in record.verdict


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
