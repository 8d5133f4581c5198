"""Laws of every testbed: the truth scores 1, nothing scores 0, every decoy is caught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import unexplained as ux
from tiny import tiny_subject
from unexplained.ablations import ABLATIONS
from unexplained.bars import recovered
from unexplained.cli.app import app
from unexplained.errors import SubjectError, TextError
from unexplained.evaluate import evaluate, observe
from unexplained.explanations import LIBRARY, StandIn
from unexplained.explanations.library.projection import Projection
from unexplained.explanations.stand_in import find_stand_in
from unexplained.ledger import Ledger
from unexplained.record import Number, load_record
from unexplained.subject import Subject
from unexplained.testbeds import TESTBEDS, Testbed, planted, testbed
from unexplained.text import Text

SETTINGS = ux.Settings(resamples=200)

EXACT = 1e-4
"""How far the truth may be from 1: softmaxes leak below 1e-6, and the mean is a float32."""


def opened(name: str) -> tuple[Testbed, Subject, Text]:
    bed = testbed(name)
    subject = ux.load(f"testbed:{name}", device="cpu")
    read = ux.pairs if bed.text(2, 2, 0).pairs else None
    if read:
        return bed, subject, read(f"testbed:{name}", subject, pairs=64, fit_pairs=64)
    return bed, subject, ux.text(f"testbed:{name}", subject, documents=32, fit_documents=32)


def held(bed: Testbed, subject: Subject, text: Text, *claims: StandIn) -> Ledger:
    """Claims about the testbed's components, beside mean ablation of them."""
    values = [site.at("z") for site in bed.where]
    need = [s for one in claims for s in one.observes(bed.where, subject.shape)]
    activations = observe(subject, text, list(dict.fromkeys([*values, *need])))
    fill = ABLATIONS.get("mean").fit(activations, bed.where, 0).condition()
    stood = [one.fit(bed.where, subject.shape, activations, 0).condition() for one in claims]
    return evaluate(subject, text, [fill, *stood])


def score(ledger: Ledger, name: str) -> Number:
    return recovered(ledger, name, "mean", settings=SETTINGS)


@pytest.mark.parametrize("name", TESTBEDS.all())
def test_the_truth_scores_1_nothing_0_and_every_decoy_is_caught(name: str) -> None:
    require_lawful(*opened(name))


def require_lawful(bed: Testbed, subject: Subject, text: Text) -> None:
    nothing = bed.truth.ends()[1]
    ledger = held(bed, subject, text, bed.truth, nothing, *bed.decoys)
    intact = ledger.sums("intact")
    true = ledger.sums(bed.truth.name)
    np.testing.assert_allclose(true.loss, intact.loss, atol=EXACT * intact.tokens.max())
    assert np.array_equal(ledger.sums(nothing.name).loss, ledger.sums("mean").loss)
    if not bed.worth:
        assert not bed.decoys
        assert score(ledger, bed.truth.name).value is None
        return
    found = score(ledger, bed.truth.name)
    assert found.value == pytest.approx(1, abs=EXACT), found
    assert score(ledger, nothing.name).value == 0
    assert bed.decoys
    for decoy in bed.decoys:
        caught = score(ledger, decoy.name)
        assert caught.low is not None and caught.high is not None, (decoy.name, caught)
        assert not caught.low <= 1 <= caught.high, (decoy.name, caught)


@pytest.mark.parametrize("name", TESTBEDS.all())
def test_the_parts_of_a_testbeds_text_are_apart_and_a_seed_draws_others(name: str) -> None:
    bed = testbed(name)
    one, again, other = (bed.text(8, 8, seed) for seed in (0, 0, 1))
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert not {b.document for b in one.eval} & {b.document for b in one.fit}
    assert not {b.tokens.tobytes() for b in one.eval} & {b.tokens.tobytes() for b in one.fit}
    assert bed.name == name and bed.says.endswith(".")
    shape = ux.load(f"testbed:{name}", device="cpu").shape
    assert not [why for site in bed.sites if (why := bed.truth.refuses(site, shape))]


def test_a_testbed_whose_truth_is_wrong_or_whose_decoy_is_true_breaks_the_law() -> None:
    bed, subject, text = opened("strict_induction")
    with pytest.raises(AssertionError):
        require_lawful(replace(bed, truth=LIBRARY.get("long_prefix_induction")), subject, text)
    with pytest.raises(AssertionError):
        require_lawful(replace(bed, decoys=(bed.truth.gated(),)), subject, text)  # type: ignore[attr-defined]
    with pytest.raises(AssertionError):
        require_lawful(replace(bed, worth=False, decoys=()), subject, text)


def test_a_testbed_is_reached_by_name_as_a_model_a_text_and_an_explanation(tmp_path: Path) -> None:
    out = {kind: tmp_path / f"out.{kind}" for kind in ("html", "json")}
    done = CliRunner().invoke(
        app,
        ["assay", "testbed:strict_induction", "--heads", "L1.H0", "--text", "testbed:strict_induction",
         "--explanation", "testbed:strict_induction", "--explanation", "projection:8",
         "--documents", "16", "--fit-documents", "16", "--singles", "0", "--no-twin",
         "--report", str(out["html"]), "--record", str(out["json"])],
    )  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    record, scores = load_record(out["json"]), "text-1/recovered/fractions"
    truth, projection = (
        record[f"{scores}/{who}/against mean"].value
        for who in ("the truth", "projection on 8 directions")
    )
    assert truth == pytest.approx(1, abs=EXACT) and projection is not None and projection < 0.9


def test_other_commands_take_a_testbed_too(tmp_path: Path) -> None:
    common = ["--report", str(tmp_path / "r.html"), "--record", str(tmp_path / "r.json")]
    for words in (
        ["sweep", "testbed:cancelling", "--text", "testbed:cancelling",
         "--documents", "12", "--fit-documents", "8", "--ablation", "zero"],
        ["sweep", "testbed:name_bias", "--text", "testbed:name_bias",
         "--documents", "12", "--measure", "logit difference", "--no-gate"],
        ["heads", "testbed:strict_induction", "--no-twin"],
    ):  # fmt: skip
        more = common if words[0] == "sweep" else []
        done = CliRunner().invoke(app, [*words, *more])
        assert done.exit_code == 0, (words, done.output, done.exception)


def test_what_is_no_testbed_or_not_its_model_is_refused_by_name() -> None:
    with pytest.raises(SubjectError, match="strict_induction"):
        ux.load("testbed:strict_inductoin")
    with pytest.raises(TextError, match=r"own tokens(?s:.*)testbed:periodic"):
        ux.text("testbed:periodic", tiny_subject("llama"))
    with pytest.raises(SubjectError, match="periodic"):
        find_stand_in("testbed:periodical")


def test_a_trained_model_is_a_testbed_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever made the weights: here those of another testbed, with a claim that is no pattern."""
    monkeypatch.setattr(TESTBEDS, "_found", TESTBEDS.all())
    plant, known = planted("strict_induction"), testbed("strict_induction")
    TESTBEDS.add(
        "trained",
        lambda: Testbed(
            name="trained", says="It copies.", model=lambda: (plant.model, plant.tokenizer),
            text=known.text, sites=known.sites, truth=Projection(48), decoys=(Projection(4),),
        ),
    )  # fmt: skip
    require_lawful(*opened("trained"))
    assert find_stand_in("testbed:trained") == Projection(48)


def test_text_of_other_words_is_refused_by_name_and_random_words_of_its_own_are_not() -> None:
    subject = ux.load("testbed:periodic", device="cpu")
    with pytest.raises(TextError, match=r"testbed:periodic: its tokenizer cannot cut it(?s:.*)own"):
        ux.text("pydocs", subject, documents=4, fit_documents=4)
    text = ux.text("repeats", subject, documents=4, fit_documents=4, block=41)
    assert all(block.tokens[0] == 0 and len(block.tokens) == 41 for block in text.eval)
    assert all((block.tokens[1:] > 0).all() for block in text.eval)
