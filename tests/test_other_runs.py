"""Other runs of weaker models count in every number that is said of them; kept work knows what it is of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import unexplained as ux
from test_gap import ledger_of
from unexplained.bars import bars_of
from unexplained.bars.rungs import Seeds
from unexplained.estimators import Scatter
from unexplained.evaluate.store import ENGINE
from unexplained.hashing import architectures, code_digest
from unexplained.ledger import Ledger

SETTINGS = ux.Settings(resamples=400)


def measured(gap: float) -> Ledger:
    """Forty documents; an explanation keeps half of the gap to a weaker model."""
    rng = np.random.default_rng(3)
    base = rng.normal(3.0, 0.2, 40)
    rows = {"intact": base, "claim": base + gap / 2, "weak": base + gap, "mean": base + 2.0}
    noise = rng.normal(0, 0.01, (len(rows), 40))
    return ledger_of(
        {n: list(10 * (r + e)) for (n, r), e in zip(rows.items(), noise, strict=True)}, [10] * 40
    )


def seeds(deviation: float) -> Seeds:
    return Seeds({"weak": ("weak",)}, Scatter(6 * deviation**2, 6))


def test_a_gap_score_counts_other_runs_of_the_weaker_model() -> None:
    ledger = measured(1.0)
    ((alone,),) = (
        one.rungs for one in bars_of(ledger, ["claim"], ["mean"], ["weak"], settings=SETTINGS)
    )
    ((counted,),) = (
        one.rungs
        for one in bars_of(
            ledger, ["claim"], ["mean"], ["weak"], seeds=seeds(0.02), settings=SETTINGS
        )
    )
    assert counted.score.value == alone.score.value
    # By hand: a run's log loss scatters by 2%, its loss of 4 by 0.08, the score by (1 − 0.5) / 1 of that.
    error = 0.02 * (counted.loss.value or 0) * 0.5
    half = ((counted.score.high or 0) - (counted.score.low or 0)) / 2
    assert 2.4 * error < half < 3.5 * error
    assert half > 4 * ((alone.score.high or 0) - (alone.score.low or 0)) / 2
    assert (counted.share["mean"].high or 0) > (alone.share["mean"].high or 0)


def test_a_gap_within_what_runs_scatter_by_has_no_score() -> None:
    (found,) = bars_of(
        measured(0.1), ["claim"], ["mean"], ["weak"], seeds=seeds(0.05), settings=SETTINGS
    )
    (bar,) = found.rungs
    assert bar.score.value is None and "other runs of it scatter" in bar.score.refused


def test_tables_of_repeats_are_kept_by_the_length_of_their_segments() -> None:
    """Two models of one tokenizer, of which one was trained on shorter segments."""
    pools = {
        ux.text("repeats", ux.load(name), documents=5, fit_documents=5).pool_fingerprint
        for name in ("rung-1", "attention-2")
    }
    assert len(pools) == 2


def test_every_architecture_is_in_the_digest_of_what_is_kept(tmp_path: Path) -> None:
    folder = Path(ux.__file__).parent / "subject" / "architectures"
    files = {path.stem for path in folder.glob("*.py") if path.stem != "__init__"}
    assert files and files <= {name.rpartition(".")[2] for name in architectures()}
    subject = ux.load("rung-1")
    text = ux.text("pydocs", subject, documents=5, fit_documents=5)
    ux.evaluate(subject, text, [], folder=tmp_path)
    told = "".join(
        path.read_text(encoding="utf-8", errors="ignore") for path in tmp_path.rglob("*.json")
    )
    assert code_digest(ENGINE, *architectures()) in told


@pytest.mark.parametrize("broken", ["{", '{"text": "t", "settings": {"nope": 1}, "cards": []}',
                                    '{"text": "t", "settings": {}, "cards": [{"x": 1}]}'])  # fmt: skip
def test_a_reading_that_is_not_what_was_written_is_refused_by_name(
    broken: str, tmp_path: Path
) -> None:
    from unexplained.bars.reading import Reading
    from unexplained.errors import MeasurementError

    place = tmp_path / "reading"
    Reading(measured(1.0), (), SETTINGS, "made up").save(place)
    assert Reading.load(place).text == "made up"
    (tmp_path / "reading.json").write_text(broken, encoding="utf-8")
    with pytest.raises(MeasurementError):
        Reading.load(place)
