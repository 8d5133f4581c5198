"""`soundness`: orders that turn round are found where they are planted and nowhere else; drift by a loop."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

import repairable
import unexplained as ux
from measured import LEAN, record_of
from test_ablations import alone, filled
from test_assay import make_text
from test_bars import ledger_of, rows_of
from tiny import VOCABULARY, tiny_model, tiny_subject, tiny_tokenizer
from unexplained.ablations import AblationError
from unexplained.bars import flips
from unexplained.bars.flips import EXPLANATIONS, apart, corrected, turned
from unexplained.bars.panel import HELD, Panel
from unexplained.errors import MeasurementError
from unexplained.evaluate import Edited
from unexplained.evaluate.drift import drift
from unexplained.instruments import soundness
from unexplained.instruments.soundness import PANEL, _filled, _flips
from unexplained.ledger import Ledger
from unexplained.record import Number, Record
from unexplained.record.blocks import Prose, Table
from unexplained.record.ids import walk
from unexplained.settings import Settings
from unexplained.sites import Site
from unexplained.study import INSTRUMENTS, Run, arms
from unexplained.subject import Batch, Edit, Subject
from unexplained.testbeds.weights import START
from unexplained.text import Text

SITES = ("a", "b", "c")
DOCUMENTS, TOKENS = 40, 100


def measured(seed: int, costs: dict[str, tuple[float, ...]], share: float = 0.5) -> Ledger:
    """A ledger of ablations that cost so much at each site; a claim undoes a share of it everywhere."""
    draw = np.random.default_rng(seed)
    tokens = [TOKENS] * DOCUMENTS
    intact = 300 + 20 * draw.standard_normal(DOCUMENTS)
    groups = [rows_of("intact", intact, tokens=tokens)]
    for ablation, damages in costs.items():
        for site, damage in zip(SITES, damages, strict=True):
            harm = TOKENS * (damage + 0.02 * draw.standard_normal(DOCUMENTS))
            rest = TOKENS * 0.01 * draw.standard_normal(DOCUMENTS)
            groups.append(rows_of(f"{ablation} {site}", intact + harm, tokens=tokens))
            left = intact + (1 - share) * harm + rest
            groups.append(rows_of(f"claim {ablation} {site}", left, tokens=tokens))
    return ledger_of(*groups)


def names(ledger: Ledger, what: str = "") -> dict[str, dict[str, str]]:
    found = {c.split()[0] for c in ledger.conditions if c != "intact" and "claim" not in c}
    return {kind: {site: f"{what}{kind} {site}" for site in SITES} for kind in sorted(found)}


def test_an_order_that_was_planted_to_turn_round_is_found_and_no_other_in_twenty_runs() -> None:
    turning = {"zero": (0.10, 0.05, 0.02), "mean": (0.04, 0.09, 0.02), "noise": (0.1, 0.1, 0.02)}
    for seed in range(20):
        ledger = measured(seed, turning)
        (flip,) = turned(ledger, names(ledger), {}, {}, Settings(seed=seed))[""]
        assert (flip.first, flip.second, flip.one, flip.other) == ("a", "b", "zero", "mean")


def test_nothing_turns_round_where_nothing_does_in_twenty_runs() -> None:
    """The sizes differ, and ties are many: without correction and both orders asked, some would."""
    same = {kind: (0.05, 0.05, 0.05) for kind in ("zero", "mean", "noise", "best")}
    bigger = {"zero": (0.2, 0.1, 0.05), "mean": (0.06, 0.03, 0.02)}
    for seed in range(20):
        for costs in (same, bigger):
            ledger = measured(seed, costs)
            claims = names(ledger, "claim ")
            found = turned(ledger, names(ledger), {"claim": claims}, {}, Settings(seed=seed))
            assert found == {"": [], "claim": []}
    assert corrected(Settings(), 100).level == pytest.approx(0.9995)
    assert corrected(Settings(resamples=100), 100).resamples >= 4000


def test_a_claim_that_holds_better_at_one_site_or_the_other_with_the_ablation_is_found() -> None:
    costs = {"zero": (0.10, 0.10, 0.1), "mean": (0.10, 0.10, 0.1)}
    better, worse = measured(3, costs, 0.8), measured(3, costs, 0.3)
    rows = better.only([c for c in better.conditions if not c.startswith("claim")])
    taken = {("zero", "a"), ("mean", "b"), ("zero", "c"), ("mean", "c")}
    for kind in costs:
        for site in SITES:
            source = better if (kind, site) in taken else worse
            rows = Ledger.concat([rows, source.only([f"claim {kind} {site}"])])
    found = turned(rows, names(rows), {"claim": names(rows, "claim ")}, {}, Settings())["claim"]
    assert [(f.first, f.second, f.one, f.other) for f in found] == [("a", "b", "zero", "mean")]


def test_orders_of_damage_and_of_all_claims_are_corrected_together(monkeypatch) -> None:
    ledger, levels = measured(0, {"zero": (0.1, 0.1, 0.1), "mean": (0.1, 0.1, 0.1)}), set()
    increase, recovered = flips.increase, flips.recovered

    def noted(real):
        def made(*args, settings, **more):
            levels.add(round(settings.level, 9))
            return real(*args, settings=settings, **more)

        return made

    monkeypatch.setattr(flips, "increase", noted(increase))
    monkeypatch.setattr(flips, "recovered", noted(recovered))
    claims = names(ledger, "claim ")
    turned(ledger, names(ledger), {"one": claims, "two": claims}, names(ledger), Settings())
    # Three pairs under two ablations, three sites of two claims under two, and three pairs of explanations.
    assert levels == {round(1 - 0.05 / (3 * 2 + 2 * 3 * 2 + 3 * 2), 9)}


def test_how_far_a_panel_is_apart_holds_the_truth_though_its_ends_are_chosen() -> None:
    held, told = [], []
    for seed in range(60):
        ledger = measured(seed, {kind: (0.1, 0.05, 0.05) for kind in PANEL})
        same = apart(ledger, [f"{kind} a" for kind in PANEL], Settings())
        held.append(same.low <= 0.0)
        costs = {kind: (0.1 + 0.02 * (kind == "zero"),) * 3 for kind in PANEL}
        other = apart(measured(seed, costs), [f"{kind} a" for kind in PANEL], Settings())
        assert 0 <= same.low <= same.value <= same.high
        held.append(other.low <= 0.02 <= other.high)
        told.append(other.low > 0)
    assert np.mean(held) >= 0.95 and np.mean(told) > 0.5


@cache
def planted() -> tuple[Subject, Text]:
    """A head that says always the same, loudly, and one that says now this and now that.

    The text is drawn from the model, so every ablation costs something: of the first zero alone.
    """
    model, width, size = tiny_model("gpt2"), 32, 8
    projection = model.transformer.h[1].attn.c_attn
    constant, varied = (slice(2 * width + i * size, 2 * width + (i + 1) * size) for i in (0, 1))
    with torch.no_grad():
        projection.weight[:, constant] = 0
        projection.bias[constant] = 9.0
        projection.weight[:, varied] *= 5
        projection.bias[varied] = 0
        draw = torch.Generator().manual_seed(0)
        rows = torch.randint(0, VOCABULARY, (140, 1), generator=draw)
        for _ in range(15):
            last = model(rows, use_cache=False).logits[:, -1].softmax(-1)
            rows = torch.cat([rows, torch.multinomial(last, 1, generator=draw)], 1)
    subject = ux.load(model, tokenizer=tiny_tokenizer(), device="cpu")
    fit, rest = rows.numpy()[:40], rows.numpy()[40:]
    return subject, make_text("drawn", subject, fit, rest)


def test_under_every_ablation_of_the_panel_the_first_position_is_kept_and_in_no_mean() -> None:
    subject, text = planted()
    sites, block = subject.sites("L1.H1"), text.eval[0]
    own = alone(subject, block, sites[0].at("z"))
    for kind in PANEL:
        (made,) = arms.panel(Run(subject, (text,), LEAN), kind, [sites])
        condition = made.conditions["total"]
        assert isinstance(condition, Edited)
        put = filled(subject, block, condition.edits[0])
        assert torch.equal(put[0], own[0]), kind
        assert not torch.equal(put[1], own[1]), kind
        if kind == "mean":
            later = [alone(subject, one, sites[0].at("z"))[1:] for one in text.fit]
            torch.testing.assert_close(put[1], torch.cat(later).mean(0), atol=1e-5, rtol=1e-5)


def cells(record: Record, table: str) -> dict[tuple[str, str], object]:
    return {
        (row.key, column.key): cell
        for above, one in walk(record.blocks)
        if isinstance(one, Table) and f"{above}/{one.key}".endswith(table)
        for row in one.rows
        for column, cell in zip(one.columns, row.cells, strict=True)
    }


def test_a_loud_constant_matters_by_zero_alone_and_the_order_turns_round() -> None:
    subject, text = planted()
    record = INSTRUMENTS.get("soundness")(subject, "L1.H0-1", text, settings=LEAN)
    free, held = cells(record, "damage/free"), cells(record, "damage/held")
    for kind in ("mean", "position mean", "resample", "optimal constant", "matched noise"):
        for found in (free, held):
            number = found["L1.H0", kind]
            assert isinstance(number, Number) and abs(number.value or 0.0) < 1e-4
    number = free["L1.H0", "zero"]
    assert isinstance(number, Number) and (number.low or 0) > 0.05
    turned = cells(record, "flips/turned")
    assert turned["damage L1.H0 L1.H1", "one"] == "zero"
    assert "L1.H0 is more than L1.H1 under zero and less under" in record.verdict
    shares = cells(record, "optimal/ratios")
    assert shares["zero", "published"] == 0.111 and shares["mean", "published"] == 0.330
    best = shares["zero", "L1.H0"]
    assert isinstance(best, Number) and abs(best.value or 0.0) < 1e-3


def test_the_drift_of_the_stream_is_that_of_a_loop() -> None:
    subject = tiny_subject("gpt2")
    rows = np.random.default_rng(1).integers(0, VOCABULARY, (2, 5, 9))
    text = make_text("words", subject, *rows)
    sites = [Site(1, "H", 2, "z"), Site(1, "mlp")]
    edits = tuple(Edit(site, lambda local: local.value / 3) for site in sites)
    found = drift(subject, text, [Edited("third", edits, "third")], batch_tokens=20)["third"]
    after = Site(1, "resid_post")
    for i, block in enumerate(text.eval):
        batch = Batch.of(torch.tensor(block.tokens[None].astype(np.int64)))
        whole, there = (subject.run(batch, some, keep=[after]) for some in ((), edits))
        lengths = there.values[after].norm(dim=-1) / whole.values[after].norm(dim=-1) - 1
        spread = [
            (one.stream[0].var(-1, correction=0) + 1e-5).rsqrt().double() for one in (there, whole)
        ]
        np.testing.assert_allclose(found.stream[i], lengths[0, 1:], atol=1e-5)
        np.testing.assert_allclose(found.scale[i], (spread[0] / spread[1] - 1)[1:], atol=1e-5)


def test_where_the_optimal_constant_helps_the_verdict_says_that_it_does() -> None:
    """In a model with random weights nearly any loss can be lowered."""
    subject = tiny_subject("llama")
    rows = np.random.default_rng(2).integers(0, 12, (2, 60, 16))
    text = make_text("words", subject, *rows)
    record = INSTRUMENTS.get("soundness")(subject, "L1.mlp", text, settings=LEAN)
    assert "At L1.mlp the optimal constant lowers the loss below the intact" in record.verdict


def test_what_cannot_be_measured_is_refused_before_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    subject, text = planted()
    sound = INSTRUMENTS.get("soundness")
    monkeypatch.setattr(Subject, "run", None)
    with pytest.raises(MeasurementError, match=r"12 components.*at most 8"):
        sound(subject, "L*.H*", text, settings=LEAN)
    few = replace(text, fit=text.fit[:4])
    with pytest.raises(AblationError, match=r"covariance of L1\.H0\.z"):
        sound(subject, "L1.H0", few, settings=LEAN)


def test_the_answer_says_what_three_ablations_cost_and_of_one_component_there_is_no_order() -> None:
    record = record_of("soundness")
    answer = record.blocks[0]
    assert len(answer.rows) == 3 and len(answer.columns) == 4  # type: ignore[union-attr]
    words = [one.words for _, one in walk(record.blocks) if isinstance(one, Prose)]
    assert any("turn round" in one or "None does" in one for one in words)


def test_explanations_of_one_component_turn_round_only_where_what_they_leave_out_is_filled() -> (
    None
):
    subject, words = repairable.model("plain"), repairable.text(documents=12, fit_documents=24)
    run, where = Run(subject, (words,), LEAN), (repairable.AT,)

    def loud(tokens: torch.Tensor) -> torch.Tensor:
        out = repairable._before(tokens)
        out[..., START["aside"]] = 100.0  # what is left out is a constant: its mean takes it away
        return out

    claims = [repairable.claim("the token before, and a shout", loud), repairable.CLAIMS["half"]]
    stated = arms.claims(run, where, claims)
    fills, put = _filled(run, where, claims, {one.name: one for one in stated})
    held = [one.also(HELD) for one in stated]
    read = run.measure(*held, *put, arms.ablation(run, "mean", where))
    assert tuple(fills) == PANEL
    panel = Panel(read, {}, {}, (str(repairable.AT),), (str(repairable.AT),), fills)
    found = _flips(panel)[EXPLANATIONS]
    assert [(one.first, one.one, one.other) for one in found] == [(claims[0].name, "zero", "mean")]
    assert tuple(panel.fills(held=True)) == PANEL
    assert not turned(read.ledger, {}, {}, {"zero": fills["zero"]}, LEAN)[EXPLANATIONS]
    # With the norms held nobody hears the shout.
    calm = {kind: of for kind, of in panel.fills(held=True).items() if kind == "zero"}
    assert not turned(read.ledger, {}, {}, calm | {"mean": fills["mean"]}, LEAN)[EXPLANATIONS]


def test_beside_a_panel_a_claim_that_says_nothing_recovers_nothing_to_the_bit() -> None:
    """Ablations of a panel keep the first position; the claim replaced it, by a mean that counted it."""
    subject, words = repairable.model("plain"), repairable.text(documents=8, fit_documents=24)
    run = Run(subject, (words,), LEAN)
    for where in (subject.sites("L0.H0"), subject.sites("L0.H0 L1.H0")):
        silent = arms.panel(run, "mean", [where])[0]
        nothing = repairable.CLAIMS["half"].ends()[1]
        (claimed,) = arms.claims(run, where, [nothing], first_kept=True)
        read = run.measure(silent, claimed.called("beside", role="control", of=silent.name))
        assert read.damage(silent.name).value > 0.01
        assert (read.ledger.sums("beside").loss == read.ledger.sums(silent.name).loss).all()


def test_in_float64_the_weights_are_the_same_and_their_products_are_not_rounded() -> None:
    model = tiny_model("gpt2")
    subject = ux.load(model, tokenizer=tiny_tokenizer(), device="cpu", name="small")
    tokens = torch.arange(12)[None] % VOCABULARY
    wide = subject.in_double()
    found = wide.logits(wide.run(Batch.of(tokens)).normed)
    by_hand = tiny_model("gpt2").double()(tokens).logits
    assert found.dtype == torch.float64
    assert torch.allclose(found, by_hand, atol=1e-11)


def test_the_noise_floor_is_measured_in_float64_where_that_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject, text = planted()
    run = Run(subject, (text,), LEAN)
    made = arms.panel(run, "mean", [subject.sites("L0.H0")])
    found = soundness._in_double(run, made)
    assert isinstance(found, float) and 0 < found < 1e-4
    monkeypatch.setattr(soundness, "DOUBLE", 0)
    assert "not measured" in str(soundness._in_double(run, made))
