"""The whole road, on planted models whose right answer is known."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import unexplained as ux
from assayed import checks_of, of_row
from unexplained.bars import context_gain
from unexplained.errors import ExplanationError, MeasurementError
from unexplained.evaluate import Edited, Other, evaluate
from unexplained.record import Record
from unexplained.study.stated import induction_rules
from unexplained.subject import Edit, Subject
from unexplained.testbeds import half_induction, periodic, planted
from unexplained.testbeds.texts import interrupted, irregular, repeated, two_rules
from unexplained.text import Block, Text
from unexplained.text.ngrams import ngrams

SETTINGS = ux.Settings(resamples=200)


def make_text(
    name: str, subject: Subject, fit: np.ndarray, measured: np.ndarray, second_copy: int = 0
) -> Text:
    """A text of given tokens."""

    def blocks(tokens: np.ndarray, part: str) -> tuple[Block, ...]:
        return tuple(
            Block(f"{part}{i}", name, row.astype(np.int32), second_copy)
            for i, row in enumerate(tokens)
        )

    return Text(
        name=name,
        eval=blocks(measured, f"{name} eval "),
        fit=blocks(fit, f"{name} fit "),
        pool=lambda: iter([row.astype(np.int32) for row in fit]),
        pool_fingerprint=f"{name} {fit.tobytes().hex()[:64]} {len(fit)}",
        block=measured.shape[1],
        vocabulary=subject.shape.vocabulary,
        fingerprint=f"{name} {len(measured)} {measured.tobytes().hex()[:64]}",
        notes=(),
        composition={name: len(measured)},
    )


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNEXPLAINED_CACHE", str(tmp_path / "cache"))


def subject_of(name: str) -> tuple[Subject, str]:
    plant = planted(name)
    subject = ux.load(plant.model, tokenizer=plant.tokenizer, device="cpu", name=name)
    return subject, " ".join(map(str, plant.sites))


def texts_of(subject: Subject) -> tuple[Text, Text]:
    rng = np.random.default_rng(0)
    return (
        make_text("repeated", subject, repeated(rng, 12, 12), repeated(rng, 12, 12)),
        make_text("irregular", subject, irregular(rng, 16, 40), irregular(rng, 16, 40)),
    )


def run(name: str, *, twin: bool = False) -> Record:
    subject, site = subject_of(name)
    return ux.assay(subject, site, texts_of(subject), settings=SETTINGS, twin=twin, singles=0)


def test_the_true_explanation_scores_1_and_every_control_holds() -> None:
    record = run("strict_induction", twin=True)
    for text in (1, 2):
        # Rest on the first position is what the planted head does; its softmax leaks below 1e-6.
        for scale in ("against mean", "against zero", "variance"):
            true = of_row(record, "strict induction, rest first", scale, text)
            assert true.value == pytest.approx(1, abs=1e-4)
        assert of_row(record, "the component itself", "against mean", text).value == 1.0
        assert of_row(record, "no explanation", "against mean", text).value == 0.0
        assert of_row(record, "previous token", "against mean", text).value < 0.5
    assert all(check.holds for check in checks_of(record)), checks_of(record)


def test_ablating_the_planted_head_costs_its_gain_in_context_and_no_other_head_does() -> None:
    subject, _ = subject_of("strict_induction")
    tokens = repeated(np.random.default_rng(2), 8, 12)
    text = make_text("copies", subject, tokens, tokens, second_copy=13)  # BOS and 12 tokens before
    zero = tuple(Edit(s, lambda x: x.value * 0) for s in subject.sites("L1.H0"))
    ledger = evaluate(subject, text, [Edited("zero", zero, "zero")])
    found = context_gain(ledger, ["zero"], settings=SETTINGS)
    assert found is not None
    # Silent at ln 48 in the first copy, right at ln(1 + 47 e^-8) in the second: docs/planted-models.
    gain = np.log(48) - np.log1p(47 * np.exp(-8))
    assert found.gain["intact"].value == pytest.approx(gain, abs=1e-3)
    assert found.gain["zero"].value == pytest.approx(0, abs=1e-3)
    assert found.lost["zero"].value == pytest.approx(gain, abs=1e-3)
    scores = ux.with_gains(
        subject, text, ux.head_scores(subject, text), 99, settings=ux.Settings(resamples=200)
    )
    lost = {score.site: score.gain_lost.value for score in scores if score.gain_lost}
    assert lost["L1.H0"] == pytest.approx(gain, abs=0.2)  # the mean is a little better than zero
    assert lost["L1.H1"] == pytest.approx(0, abs=8e-6)  # the final norm sees what it writes


def share(name: str, tokens: np.ndarray, explanation: str) -> float:
    """Recovered against zero ablation, through the whole road, by an explanation of the library."""
    subject, site = subject_of(name)
    text = make_text("planned", subject, tokens, tokens)
    ladder = {one.name: one for one in induction_rules().explanations}
    record = ux.assay(
        subject,
        site,
        text,
        explanations=[ladder[explanation]],
        settings=SETTINGS,
        twin=False,
        singles=0,
    )
    found = of_row(record, explanation, "against zero").value
    assert found is not None
    return found


STRICT = "strict induction, rest first"


def test_counting_passes_on_repeats_and_is_caught_where_the_copy_is_interrupted() -> None:
    rng = np.random.default_rng(1)
    passes = share("periodic", repeated(rng, 10, periodic.PERIOD), STRICT)
    assert passes == pytest.approx(periodic.derived_fraction(), abs=1e-4)
    assert passes > 0.95
    caught = share("periodic", interrupted(rng, 10, periodic.PERIOD, 8), STRICT)
    assert caught == pytest.approx(periodic.derived_fraction(8), abs=1e-4)
    assert caught < 0.5


def test_half_an_explanation_scores_what_was_derived_by_hand() -> None:
    tokens = two_rules(np.random.default_rng(2), 10, 11, 12)
    assert half_induction.derived_fraction(11, 12) == 0.5
    assert share("half_induction", tokens, STRICT) == pytest.approx(0.5, abs=1e-4)


def test_where_there_is_nothing_to_recover_the_ratio_is_refused_by_name() -> None:
    share = of_row(run("empty"), "strict induction", "against mean", text=2)
    assert share.value is None
    assert "mean" in share.refused


def test_killed_and_resumed_is_the_uninterrupted_ledger_bit_for_bit(tmp_path: Path) -> None:
    subject, site = subject_of("strict_induction")
    text = texts_of(subject)[1]
    half = Edited(
        "half", tuple(Edit(s, lambda x: x.value / 2) for s in subject.sites(site)), "half"
    )
    asked = [half, *(Other(table.name, table) for table in ngrams(text))]
    whole = evaluate(subject, text, asked, batch_tokens=128)
    seen: list[int] = []
    folder = tmp_path / "units"  # the cache, with counts in it, is beside it

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(subject, text, asked, folder=folder, batch_tokens=128, progress=stop)
    files = {p.name: p.stat().st_mtime_ns for p in folder.rglob("*.parquet")}
    assert len(files) == 2
    again = evaluate(subject, text, asked, folder=folder, batch_tokens=128)
    assert again.table.equals(whole.table)
    for path in folder.rglob("*.parquet"):
        assert files.get(path.name, path.stat().st_mtime_ns) == path.stat().st_mtime_ns


def test_documents_of_different_length_are_padded_without_a_trace() -> None:
    subject, site = subject_of("half_induction")
    rows = irregular(np.random.default_rng(4), 6, 40)
    blocks = [Block(f"d{i}", "x", rows[i, : 40 - 5 * i].astype(np.int32)) for i in range(6)]
    text = replace(make_text("cut", subject, rows, rows), eval=tuple(blocks))
    zero = tuple(Edit(s, lambda x: x.value * 0) for s in subject.sites(site))
    together = evaluate(subject, text, [Edited("zero", zero, "zero")], batch_tokens=120)
    for condition in ("intact", "zero"):
        found = together.sums(condition)
        for block in blocks:
            one = replace(text, eval=(block,))
            alone = evaluate(subject, one, [Edited("zero", zero, "zero")]).sums(condition)
            at = found.documents.index(block.document)
            assert found.tokens[at] == len(block.tokens) - 1 == alone.tokens[0]
            assert found.loss[at] == pytest.approx(alone.loss[0], abs=1e-3)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_assay import halves, subject_of, texts_of
from unexplained.evaluate import evaluate
subject, _ = subject_of("half_induction")
seen = []
def stop(done, total):
    seen.append(done)
    if len(seen) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
evaluate(subject, texts_of(subject)[1], halves(subject), folder=Path({folder!r}),
         batch_tokens=128, progress=stop)
"""


def halves(subject: Subject) -> list[Edited]:
    heads = subject.sites("L*.H*")
    return [Edited(str(s), (Edit(s, lambda x: x.value * 0.5),), f"half {s}") for s in heads]


def test_killed_with_sigkill_and_resumed_in_another_process_is_the_uninterrupted_ledger(
    tmp_path: Path,
) -> None:
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "kept"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "kept").rglob("*.parquet")}
    assert len(kept) == 2
    subject, _ = subject_of("half_induction")
    text = texts_of(subject)[1]
    whole = evaluate(subject, text, halves(subject), batch_tokens=128)
    again = evaluate(subject, text, halves(subject), folder=tmp_path / "kept", batch_tokens=128)
    assert again.table.equals(whole.table)
    assert all(path.stat().st_mtime_ns == made for path, made in kept.items())


def test_many_conditions_go_in_groups_that_change_no_bit_and_are_kept_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, _ = subject_of("half_induction")
    text = texts_of(subject)[1]
    asked = halves(subject)
    whole = evaluate(subject, text, asked)
    monkeypatch.setattr(sys.modules["unexplained.evaluate.job"], "GROUP", {"cpu": 2})
    told: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(subject, text, asked, folder=tmp_path, progress=stop)
    assert told == [(2, len(asked) + 1), (4, len(asked) + 1)]
    told.clear()
    again = evaluate(subject, text, asked, folder=tmp_path, progress=lambda *now: told.append(now))
    assert again.table.equals(whole.table)
    assert [done for done, _ in told] == [*range(6, len(asked) + 1, 2), len(asked) + 1]


def test_losses_are_cross_entropies_and_kl_is_what_its_formula_says() -> None:
    subject, site = subject_of("strict_induction")
    text = texts_of(subject)[1]
    zero = Edited("z", tuple(Edit(s, lambda x: x.value * 0) for s in subject.sites(site)), "z")
    ledger = evaluate(subject, text, [zero])
    model = subject.anatomy.model
    tokens = torch.tensor(np.stack([b.tokens for b in text.eval]), dtype=torch.long)
    with torch.no_grad():
        p = model(tokens, use_cache=False).logits[:, :-1].double().log_softmax(-1)
        layer = subject.sites(site)[0].layer
        size = subject.shape.head_size
        head = subject.sites(site)[0].index

        def cut(module: object, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            z = args[0].clone()
            z[..., head * size : (head + 1) * size] = 0
            return (z,)

        handle = subject.anatomy.head_output(layer).register_forward_pre_hook(cut)
        q = model(tokens, use_cache=False).logits[:, :-1].double().log_softmax(-1)
        handle.remove()
    target = tokens[:, 1:, None]
    for name, logs in (("intact", p), ("z", q)):
        expected = -logs.gather(-1, target)[..., 0].sum(-1).numpy()
        assert np.allclose(ledger.sums(name).loss, expected, rtol=1e-5, atol=1e-4)
    kl = (p.exp() * (p - q)).sum((-1, -2)).numpy()
    assert np.allclose(ledger.sums("z").kl, kl, rtol=1e-4, atol=1e-3)
    agree = (p.argmax(-1) == q.argmax(-1)).sum(-1).numpy()
    assert np.array_equal(ledger.sums("z").agree, agree)
    assert ledger.sums("intact").kl.sum() == 0


def test_two_conditions_of_one_name_and_a_full_disk_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, _ = subject_of("empty")
    text = texts_of(subject)[0]
    same = Edited("a", (), "a")
    with pytest.raises(MeasurementError, match="two conditions"):
        evaluate(subject, text, [same, Edited("a", (), "b")])

    with pytest.raises(MeasurementError, match="are one condition"):
        evaluate(subject, text, [same, Edited("b", (), "a")])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(MeasurementError, match="No space left"):
        evaluate(subject, text, [same], folder=tmp_path)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return view.pattern", "declares that it reads tokens"),
        ("return view.tokens.float()", "shape"),
        ("return 2 * ux.patterns.previous(view.tokens)", "sums to 2"),
        (
            "return view.blank[0]",
            r"document of the batch, position, position looked at.*view\.blank",
        ),
        ("return ux.patterns.previous(view.tokens).transpose(1, 2)", "later positions"),
        ("return ux.patterns.previous(view.tokens) * float('nan')", "NaN"),
        ("return 1 / 0", "ZeroDivisionError"),
    ],
)
def test_an_explanation_that_cannot_stand_in_is_an_error(
    tmp_path: Path, body: str, says: str
) -> None:
    from unexplained.explanations.files import find_explanation

    path = tmp_path / "claims.py"
    path.write_text(
        "import unexplained as ux\n\n"
        '@ux.explanation(gives="pattern", reads=["tokens"])\n'
        f'def claim(view):\n    """Wrong."""\n    {body}\n'
    )
    subject, site = subject_of("strict_induction")
    with pytest.raises(ExplanationError, match=says):
        ux.assay(
            subject,
            site,
            texts_of(subject)[0],
            explanations=find_explanation(str(path)),
            settings=SETTINGS,
            twin=False,
            singles=0,
        )
