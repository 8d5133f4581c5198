"""Shortfalls of known make: what is clumsy and what is wrong lands where it belongs, and mutants do not."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import import_module

import numpy as np
import pytest
import torch
from scipy import stats

import repairable
import unexplained as ux
from test_bars import ledger_of, rows_of
from tiny import tiny_subject
from unexplained import bars
from unexplained.ablations import ABLATIONS
from unexplained.bars.splits import After, ShortfallFindings, answer, verdict
from unexplained.errors import MeasurementError, NotFinite, TextError
from unexplained.evaluate import Edited, evaluate, observe
from unexplained.evaluate.batches import plan
from unexplained.evaluate.conditions import distinct
from unexplained.explanations import Explanation
from unexplained.ledger import Ledger
from unexplained.record import Number
from unexplained.repairs import noise, states, unembedded
from unexplained.repairs.later import Later, low_rank, principal
from unexplained.repairs.refit import Refit, refit
from unexplained.repairs.refitted import Refitted, Start, condition_with
from unexplained.repairs.schedule import RefitSettings, first_later
from unexplained.settings import Settings
from unexplained.study import Run, arm, arms
from unexplained.study.arms.repaired import Repair
from unexplained.study.shortfalls import DIRECT, _finite, _mended
from unexplained.subject import Edit, Subject
from unexplained.text import Text

HOW = RefitSettings(steps=40, rank=0, rate=1e-2)
INTACT = Edited("intact model", (), "nothing is edited")
SITES = (repairable.AT,)


@cache
def _model(name: str) -> Subject:
    return repairable.model(name)


@cache
def _text() -> Text:
    return repairable.text()


def _conditions(
    subject: Subject, text: Text, claims: list[Explanation]
) -> tuple[Edited, list[Edited]]:
    seen = observe(subject, text, [repairable.AT.at("z"), repairable.AT.at("out")])
    mean = ABLATIONS.get("mean").fit(seen, SITES, 0).condition("mean")
    return mean, [one.fit(SITES, subject.shape, seen, 0).condition() for one in claims]


@cache
def _measured(model: str, claims: tuple[str, ...]) -> tuple[Ledger, dict[str, tuple[str, ...]]]:
    subject, text = _model(model), _text()
    mean, stated = _conditions(subject, text, [repairable.CLAIMS[name] for name in claims])
    every = [INTACT, mean, *stated]
    found = refit(subject, text, every, [0, 1, 2], first=1, how=HOW, batch_tokens=512)
    once, names = distinct([mean, *stated, *(r.condition for some in found.values() for r in some)])
    starred = {name: tuple(r.condition.name for r in some) for name, some in found.items()}
    return evaluate(subject, text, once).also(names), starred


def _split(model: str, claim: str, claims: tuple[str, ...]) -> bars.shortfall:
    ledger, starred = _measured(model, claims)
    name = repairable.CLAIMS[claim].name
    refits = {
        "intact": starred["intact model"], "nothing": starred["mean"], "claim": starred[name],
    }  # fmt: skip
    return bars.shortfall(ledger, name, "mean", refits, settings=Settings())


PLAIN = ("rescaled", "beside", "half", "wrong")


@pytest.mark.parametrize("claim", ["rescaled", "beside"])
def test_what_is_right_but_clumsily_put_in_is_no_wrong(claim):
    split = _split("plain", claim, PLAIN)
    assert split.shortfall.low > 0.3
    assert split.wrong_least.low < 0.05  # no part of it is told to be wrong
    assert split.wrong_most.value < 0.15 * split.shortfall.value
    assert split.clumsy_least.low > 0.7 * split.shortfall.value
    assert split.clumsy_most.value > 0.85 * split.shortfall.value


def test_what_is_wrong_is_all_wrong_and_its_harm_is_apart():
    split = _split("plain", "wrong", PLAIN)
    assert split.harm.low > 1
    assert split.shortfall.value == pytest.approx(split.damage.value)
    assert split.wrong_least.low > 0.9 * split.shortfall.value
    assert split.clumsy_least.low < 0.05 * split.shortfall.value
    assert split.recovered_refitted.high < 0.25


def test_what_is_half_right_is_wrong_by_the_other_half():
    split = _split("plain", "half", PLAIN)
    assert 0.3 * split.damage.value < split.wrong_least.value < 0.7 * split.damage.value
    assert abs(split.clumsy_most.value) < 0.15 * split.damage.value
    assert abs(split.clumsy_least.value) < 0.15 * split.damage.value


def test_what_is_right_is_the_model():
    subject, text = _model("plain"), _text()
    _, (right,) = _conditions(subject, text, [repairable.CLAIMS["right"]])
    ledger = evaluate(subject, text, [right])
    assert ledger.sums(right.name).loss == pytest.approx(ledger.sums("intact").loss, abs=1e-3)


def test_a_partner_that_takes_away_what_the_claim_leaves_out_is_no_fault_of_the_claim():
    """A writes s + c and B −c; said of A alone is s."""
    split = _split("partner", "right", ("right",))
    assert split.shortfall.low > 0.3
    assert split.clumsy_most.value > 0.8 * split.shortfall.value
    assert split.wrong_least.low < 0.05


def test_over_nothing_a_backup_that_is_nearly_asleep_is_relearned():
    subject, text = _model("backup"), _text()
    mean, _ = _conditions(subject, text, [])
    how = replace(HOW, steps=80)
    found = refit(subject, text, [INTACT, mean], [0], first=1, how=how, batch_tokens=512)
    plain = evaluate(subject, text, [mean])
    (whole,), (silent,) = found["intact model"], found["mean"]
    after = evaluate(subject, text, [whole.condition, silent.condition])

    def loss(ledger: Ledger, name: str) -> float:
        return ledger.sums(name).per_token()

    worth = loss(plain, "mean") - loss(plain, "intact")
    left = loss(after, silent.condition.name) - loss(after, whole.condition.name)
    assert left < 0.1 * worth


def test_bounds_are_the_issues_arithmetic_of_plain_means():
    ledger, starred = _measured("plain", PLAIN)
    name = repairable.CLAIMS["half"].name
    split = _split("plain", "half", PLAIN)

    def loss(one: str) -> float:
        sums = ledger.sums(one)
        return float(sums.loss.sum() / sums.tokens.sum())

    def after(one: str) -> float:
        return float(np.mean([loss(each) for each in starred[one]]))

    worth = loss("mean") - loss("intact")
    f = 1 - (loss(name) - loss("intact")) / worth
    kept = 1 - (after(name) - after("intact model")) / (after("mean") - after("intact model"))
    short = min(loss(name), loss("mean")) - loss("intact")
    wrong = after(name) - after("intact model")
    clumsy = (kept - max(f, 0)) * worth
    wanted = {
        "damage": worth, "recovered": f, "harm": max(0.0, loss(name) - loss("mean")),
        "shortfall": short, "wrong_least": wrong, "clumsy_most": short - wrong,
        "clumsy_least": clumsy, "wrong_most": short - clumsy, "recovered_refitted": kept,
        "damage_refitted": after("mean") - after("intact model"),
    }  # fmt: skip
    for part, value in wanted.items():
        assert getattr(split, part).value == pytest.approx(value, abs=1e-9), part


def test_other_seeds_of_the_refit_are_in_the_interval():
    """With seeds that scatter the bounds are wider than documents alone make them."""
    ledger, starred = _measured("plain", PLAIN)
    name = repairable.CLAIMS["half"].name
    own = {"intact": starred["intact model"], "nothing": starred["mean"], "claim": starred[name]}
    same = {what: (names[0],) * 3 for what, names in own.items()}
    wide = bars.shortfall(ledger, name, "mean", own, settings=Settings()).wrong_least
    alone = bars.shortfall(ledger, name, "mean", same, settings=Settings()).wrong_least
    assert wide.high - wide.low > alone.high - alone.low
    # No narrower than Student's interval of three seeds: t = 4.303 with two degrees of freedom.
    by_seed = [
        ledger.sums(one).per_token() - ledger.sums(other).per_token()
        for one, other in zip(own["claim"], own["intact"], strict=True)
    ]
    error = float(np.std(by_seed, ddof=1)) / 3**0.5
    assert error > 0 and wide.high - wide.low >= 2 * 4.30 * error
    with pytest.raises(MeasurementError, match="3 seeds"):
        bars.shortfall(
            ledger, name, "mean", {w: n[:2] for w, n in own.items()}, settings=Settings()
        )


def planted(seed: int, gap: float, wrong: float, documents: int = 24) -> bars.shortfall:
    """A component worth 1 nat, a claim that costs so much more than nothing, and refits over all.

    Nothing costs 0.5 nats after the refit, the claim `wrong`.
    """
    rng, tokens = np.random.default_rng(seed), 100
    easy, worth = rng.normal(3, 0.3, documents), 1 + 0.5 * rng.normal(size=documents)

    def rows(name: str, loss: np.ndarray) -> list[dict[str, object]]:
        return rows_of(name, tokens * loss, tokens=[tokens] * documents)

    claim = easy + (1 + gap) * worth + 0.3 * rng.normal(size=documents)
    groups = [rows("intact", easy), rows("mean", easy + worth), rows("claim", claim)]
    for run in range(3):
        for name, left in (("intact", 0.0), ("mean", 0.5), ("claim", wrong)):
            noise = 0.05 * rng.normal() + 0.1 * rng.normal(size=documents)
            groups.append(rows(f"{name} {run}", easy - 0.3 + left * worth + noise))
    refits = {
        what: tuple(f"{name} {run}" for run in range(3))
        for what, name in (("intact", "intact"), ("nothing", "mean"), ("claim", "claim"))
    }
    return bars.shortfall(ledger_of(*groups), "claim", "mean", refits, settings=Settings())


def test_bounds_over_documents_and_seeds_hold_what_was_planted() -> None:
    gap, wrong = 0.02, 0.2
    truth = {"harm": gap, "shortfall": 1.0, "wrong_least": wrong, "clumsy_most": 1 - wrong}
    held: dict[str, list[bool]] = {name: [] for name in truth}
    for seed in range(40):
        found = planted(seed, gap, wrong)
        for name, value in truth.items():
            number = getattr(found, name)
            held[name].append(number.low <= value <= number.high)
    # Of 40 at 95% fewer than 34 hold once in 700 times.
    assert all(sum(some) >= 34 for some in held.values()), held


@pytest.mark.parametrize(
    ("wrong", "made_up", "says"),
    [
        ((0.9, 0.8, 1.0), (-0.2, -0.3, -0.1), "all counts as wrong"),
        ((0.8, 0.6, 1.0), (-0.1, -0.3, 0.1), "not told to make up any"),
        ((0.6, 0.4, 0.8), (0.1, -0.1, 0.3), "not told to make up any"),
        ((0.3, 0.2, 0.4), (0.4, 0.3, 0.5), "does not make it up"),
    ],
)
def test_all_is_said_to_be_wrong_only_where_that_is_told(wrong, made_up, says):
    number = [
        Number(**dict(zip(("value", "low", "high"), one, strict=True))) for one in (wrong, made_up)
    ]
    split = replace(planted(0, -0.5, 0.2), wrong_least=number[0], clumsy_most=number[1])
    found = ShortfallFindings(split, (), strength=0.95)
    assert says in verdict(found, "the claim", "L0.H0")


def test_of_what_does_better_than_the_component_nothing_is_split():
    split = planted(0, -1.4, 0.2)
    assert split.shortfall.high < 0 and split.recovered.low > 1
    found = ShortfallFindings(split, (), strength=0.95)
    assert "falls short of nothing" in verdict(found, "the claim", "L0.H0")
    for bound in (split.wrong_least, split.wrong_most, split.clumsy_least, split.clumsy_most):
        assert (
            bound.value is None
            and bound.refused == "the claim falls short of nothing, which has no parts"
        )


def test_what_does_better_once_refitted_is_in_no_proportion():
    """The first pair stands; the second would call more clumsy than the claim falls short by."""
    split = planted(0, -0.5, -0.2)
    assert split.shortfall.low > 0 and split.recovered_refitted.low > 1
    assert split.wrong_least.high < 0 and split.clumsy_most.low > split.shortfall.value
    for bound in (split.wrong_most, split.clumsy_least):
        assert bound.value is None and "in no proportion to what is lost" in bound.refused
    found = ShortfallFindings(split, (), strength=0.95)
    said = verdict(found, "the claim", "L0.H0")
    assert "how much is clumsy substitution at least is refused (after the refit" in said
    told = planted(0, -0.5, 0.2)
    assert None not in (told.wrong_most.value, told.clumsy_least.value)


def test_harm_and_a_proportion_that_does_not_hold_are_said_where_they_are_told():
    """The first screen said that 4.03 were lost where 5.28 were, and gave bounds of 18.8 and −14.8 without a word."""
    found = ShortfallFindings(planted(0, 0.5, 2.0), (), strength=0.95)
    said = verdict(found, "the claim", "L0.H0")
    assert found.split.harm.above_zero and found.split.clumsy_least.high < 0
    assert "of harm, and what a refit leaves" in said and "in proportion do not hold" in said
    rows = [row.name for row in answer(found).rows]
    assert rows.index("And does harm that silence undoes") == rows.index("It falls short by") + 1
    plain = replace(found, split=planted(0, -0.5, 0.2))
    assert "harm" not in verdict(plain, "the claim", "L0.H0")
    assert "in proportion do not hold" not in verdict(plain, "the claim", "L0.H0")
    assert not any("harm" in row.name for row in answer(plain).rows)


def test_what_a_refit_makes_up_may_be_a_recoding_and_how_far_the_claim_is_right_as_it_stands_is_said():
    """Entries in a drawn order are the right information in no coordinates of the component's."""
    split = planted(0, -0.5, 0.02)
    assert split.clumsy_least.above_zero
    own = Number(value=-0.9, low=-1.0, high=-0.8, unit="share")
    found = ShortfallFindings(split, (), own=own, strength=0.95)
    said = verdict(found, "the claim", "L0.H0")
    assert (
        "A refit learns to read other coordinates, too" in said and "in their own, is −90%" in said
    )
    harmful = replace(found, split=planted(0, 0.5, 2.0))  # nothing is told to be clumsy
    assert "coordinates" not in verdict(harmful, "the claim", "L0.H0")


def test_how_much_of_what_is_written_a_claim_gives_is_in_the_components_own_coordinates():
    subject, text = _model("plain"), _text()
    order = torch.randperm(repairable.WIDTH, generator=torch.Generator().manual_seed(0))
    permuted = repairable.claim("permuted", lambda tokens: repairable._before(tokens)[..., order])
    run, shares = Run(subject, (text,), Settings()), {}
    silent = arms.ablation(run, "mean", SITES).also(DIRECT)
    for one in (repairable.CLAIMS["right"], repairable.CLAIMS["rescaled"], permuted):
        (claimed,) = arms.claims(run, SITES, [one])
        claimed = claimed.also(DIRECT)
        ledger = run.measure(silent, claimed).ledger
        shares[one.name] = bars.variance_explained(
            ledger,
            claimed.conditions[DIRECT].name,
            silent.conditions[DIRECT].name,
            settings=Settings(),
        ).value
    right, rescaled, drawn = shares.values()
    assert right == pytest.approx(1, abs=1e-3)
    assert 0.2 < rescaled < 0.5  # 1 − 0.8² of what is about a mean
    assert drawn < -0.5


def test_harm_that_is_certain_is_told_where_the_interval_of_the_share_is_wide():
    """A share is a ratio: of this claim, wrong for certain, on 24 documents it lies anywhere up to 10."""
    subject, text = _model("plain"), repairable.text(24, 60)
    run = Run(subject, (text,), Settings())
    (claimed,) = arms.claims(run, SITES, [repairable.CLAIMS["wrong"]])
    ledger = run.measure(claimed, arms.ablation(run, "mean", SITES)).ledger
    split = bars.shortfall(
        ledger, claimed.name, "mean", {}, settings=Settings(), unsplit="not asked"
    )
    assert split.recovered.high > 0
    assert split.harm.low > 1
    found = ShortfallFindings(split, (), unsplit="not asked")
    assert any("harm" in row.name for row in answer(found).rows)
    wider = repairable.text(200, 60, seed=1)
    many = run.on(wider).measure(claimed, arms.ablation(run, "mean", SITES)).ledger
    truth = bars.increase(many, claimed.name, intact="mean", settings=Settings()).value
    assert split.harm.low < truth < split.harm.high


def test_of_a_stream_nothing_is_asked_that_only_parts_of_it_have(monkeypatch):
    model = ux.load("rung-2")
    monkeypatch.setattr("unexplained.bars.unsplit", lambda *given, **how: "it is whole")

    @ux.explanation(gives="value", reads=["tokens"])
    def nothing(view):
        """Zeros."""
        return view.blank

    text = ux.text("pydocs", model, documents=12, fit_documents=12, block=32)
    record = ux.shortfall(model, "L0.resid_post", text, claim=[nothing], steps=8, folder=None)
    assert not any(
        key.split("/")[2] == "own" for key, _ in record.numbers() if key.startswith("bounds/parts")
    )


def test_where_documents_are_alike_the_interval_is_students_of_the_seeds():
    """A ledger by hand: W is 0.3, 0.5 and 0.7 by seed, the same in every document."""
    tokens, documents = 10, 400

    def rows(name: str, loss: float) -> list[dict[str, object]]:
        return rows_of(name, [tokens * loss] * documents, tokens=[tokens] * documents)

    groups = [rows("intact", 1.0), rows("mean", 3.0), rows("claim", 2.0)]
    for seed, wrong in enumerate((0.3, 0.5, 0.7)):
        groups += [
            rows(f"intact {seed}", 0.9),
            rows(f"mean {seed}", 2.5),
            rows(f"claim {seed}", 0.9 + wrong),
        ]
    refits = {
        what: tuple(f"{name} {seed}" for seed in range(3))
        for what, name in (("intact", "intact"), ("nothing", "mean"), ("claim", "claim"))
    }
    ledger = ledger_of(*groups)
    found = bars.shortfall(ledger, "claim", "mean", refits, settings=Settings()).wrong_least
    half = stats.t.ppf(0.975, 2) * 0.2 / 3**0.5
    # A little longer: the tail of the documents' own Student's t is taken, as of a mean of so many.
    assert found.value == pytest.approx(0.5)
    assert half <= found.high - 0.5 <= 1.02 * half and half <= 0.5 - found.low <= 1.02 * half
    # And what is said of each of them: its loss after the refit, and 1 − W / D*.
    after = bars.of_refitted(ledger, refits, settings=Settings())
    loss, kept, beyond = after["claim"]
    assert loss.value == pytest.approx(1.4) and kept.value == pytest.approx(1 - 0.5 / 1.6)
    # Beside the claim, seed by seed: what all three seeds have in common is no noise.
    assert beyond is None and after["nothing"].beyond.value == pytest.approx(2.5 - 1.4)
    assert after["intact"].beyond.high - after["intact"].beyond.value == pytest.approx(
        found.high - 0.5
    )


@pytest.mark.parametrize(
    ("beyond", "says"),
    [((0.1, 0.05, 0.15), ""), ((0.1, -0.05, 0.25), "not told from random numbers or the claim elsewhere"),
     ((-0.1, -0.15, -0.05), "random numbers and the claim elsewhere lose less than it does")],
)  # fmt: skip
def test_a_claim_that_is_refitted_no_better_than_what_is_wrong_is_said_to_be(beyond, says):
    value, low, high = beyond
    more = Number(value=value, low=low, high=high, unit="nats per token")
    one = more.model_copy(update={"unit": "share"})
    after = tuple(After(what, "", one, one, one, more, (0,)) for what in ("random", "elsewhere"))
    found = ShortfallFindings(planted(0, 0.5, 0.3), (), after=after)
    said = verdict(found, "the claim", "L0.H0")
    assert ("efitted the same way" in said) == bool(says) and says in said
    assert verdict(replace(found, after=()), "the claim", "L0.H0").count("Refitted the same") == 0


# The refit


def test_later_layers_from_a_kept_stream_are_the_model():
    subject, text = ux.load("rung-2"), ux.text("pydocs", ux.load("rung-2"), documents=2, block=24)
    batch = Refit(
        subject=subject, text=text, part="eval", batch_tokens=512, seeds=(0,), first=1, how=HOW
    ).plans  # fmt: skip
    assert batch == []  # no condition, no task
    one = plan(text.eval, 512)[0].batch(subject.device)
    done = subject.run(one, keep_streams=[1])
    later = Later(subject.anatomy, 1)
    whole = later.normed(done.resume(1), later.weights())
    assert torch.equal(whole, done.normed)
    draw = torch.Generator().manual_seed(0)
    nothing = low_rank(later, 4)
    assert torch.equal(later.normed(done.resume(1), nothing), done.normed)
    # It begins along a matrix's own principal directions: taken out, its largest singular values are gone.
    for name, module in later.matrices().items():
        own = principal(later, name, nothing[f"{name}.right"])
        left = module.weight.T - nothing[f"{name}.right"] @ own
        torch.testing.assert_close(torch.linalg.svdvals(left)[:-4], torch.linalg.svdvals(module.weight)[4:],
                                   atol=1e-4, rtol=1e-4)  # fmt: skip
    # A change of low rank is the same as the changed matrices, written out.
    some = {name: torch.randn(w.shape, generator=draw) * 0.1 for name, w in nothing.items()}
    written = {
        f"{name}.weight": later.weights()[f"{name}.weight"]
        + (some[f"{name}.right"] @ some[f"{name}.left"]).T
        for name in later.matrices()
    }
    torch.testing.assert_close(
        later.normed(done.resume(1), some), later.normed(done.resume(1), written), atol=1e-4, rtol=1e-4
    )  # fmt: skip


def test_a_refit_leaves_the_model_alone_and_never_sees_the_eval_part():
    subject, text = _model("plain"), _text()
    before = subject.fingerprint
    how = replace(HOW, steps=8)
    (one,) = refit(subject, text, [INTACT], [0], first=1, how=how, batch_tokens=512)["intact model"]
    assert subject.fingerprint == before
    assert all(p.grad is None for p in subject.anatomy.model.parameters())
    other = repairable.text(seed=5)
    swapped = Text(**{**vars(text), "eval": other.eval})
    (again,) = refit(subject, swapped, [INTACT], [0], first=1, how=how, batch_tokens=512)[
        "intact model"
    ]
    assert again.condition.fingerprint == one.condition.fingerprint
    assert (again.looks == one.looks).all()


@pytest.mark.parametrize("name", ["llama", "gemma2", "granite"])  # plain, capped, divided
def test_what_pulls_a_few_rows_at_a_time_is_the_gradient_of_the_mean_loss(name, monkeypatch):
    subject = tiny_subject(name)
    monkeypatch.setattr(unembedded, "LOGITS", 4 * subject.shape.vocabulary)
    draw = torch.Generator().manual_seed(0)
    normed = torch.randn(10, subject.shape.width, generator=draw)
    targets = torch.randint(0, subject.shape.vocabulary, (10,), generator=draw)
    got = unembedded.pull(subject.anatomy, normed.clone(), targets)
    normed.requires_grad_()
    loss = torch.nn.functional.cross_entropy(subject.anatomy.logits(normed).float(), targets)
    (expected,) = torch.autograd.grad(loss, normed)
    torch.testing.assert_close(got, expected, atol=1e-7, rtol=1e-4)
    assert all(p.grad is None for p in subject.anatomy.model.parameters())


def test_what_says_when_to_stop_is_not_trained_on():
    work = Refit(
        subject=_model("plain"), text=_text(), part="fit", batch_tokens=512,
        conditions=(INTACT,), seeds=(0,), first=1, how=HOW,
    )  # fmt: skip
    training, third = ({b.unit for one in some for b in one.blocks} for some in work.split)
    assert training and third and not training & third


def test_a_refit_is_found_again_and_the_same(tmp_path):
    subject, text, how = _model("plain"), _text(), replace(HOW, steps=8)
    told: list[tuple[int, int]] = []

    def go() -> list[str]:
        found = refit(
            subject, text, [INTACT], [0, 1], first=1, how=how, batch_tokens=512, folder=tmp_path,
            progress=lambda done, total: told.append((done, total)),
        )  # fmt: skip
        return [one.condition.fingerprint for one in found["intact model"]]

    first = go()
    kept = sorted(tmp_path.rglob("*.safetensors"))
    assert len(kept) == 2
    kept[0].unlink()
    told.clear()
    assert go() == first and told == [(2, 2)]


@pytest.mark.parametrize("damage", [0.0, 0.5])
def test_a_refit_that_was_stopped_goes_on_to_the_same_bits(tmp_path, monkeypatch, damage):
    subject, text, how = _model("plain"), _text(), replace(HOW, steps=8)
    step, done = Refit._step, list[int]()

    def go(folder: object) -> tuple[str, list[float]]:
        (one,) = refit(subject, text, [INTACT], [0], first=1, how=how, batch_tokens=512,
                       damage=damage, folder=folder)["intact model"]  # fmt: skip
        return one.condition.fingerprint, one.looks.tolist()

    def counted(*given: object) -> None:
        if len(done) == 5 and not list(tmp_path.rglob("stopped")):
            (tmp_path / "stopped").touch()
            raise KeyboardInterrupt
        done.append(1)
        step(*given)

    whole = go(None)
    monkeypatch.setattr(states, "EVERY", 0.0)
    monkeypatch.setattr(Refit, "_step", counted)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path)
    assert len(list(tmp_path.rglob("*.state"))) == 1
    assert go(tmp_path) == whole and len(done) == 8
    assert not list(tmp_path.rglob("*.state"))


def test_a_damage_of_the_later_weights_is_as_large_as_it_was_asked_for():
    subject, text, how = _model("plain"), _text(), replace(HOW, steps=8)
    for rank in (0, 4):
        (weak,) = refit(
            subject, text, [INTACT], [0], first=1, how=replace(how, rank=rank), batch_tokens=512,
            damage=1.0,
        )["intact model"]  # fmt: skip
        (whole,) = refit(
            subject, text, [INTACT], [0], first=1, how=replace(how, rank=rank), batch_tokens=512
        )["intact model"]  # fmt: skip
        assert weak.looks[0] - whole.looks[0] == pytest.approx(1.0, abs=0.05)


def _beyond(local):
    return torch.full_like(local.value, 1e30)


def test_a_repair_under_which_losses_are_not_finite_is_refused_and_nothing_else_is(monkeypatch):
    subject = ux.load("rung-2")
    text = ux.text("pydocs", subject, documents=12, block=24)
    run = Run(subject, (text,), Settings(resamples=100))
    (site,) = run.subject.sites("L0.H0.z")
    nothing = arms.ablation(run, "mean", run.subject.sites("L0.H0"))
    (claim,) = arms.claims(run, run.subject.sites("L0.H0"), [ux.LIBRARY.get("previous_token")])
    plain = claim.conditions["total"]
    # With norms held nothing takes the size off again.
    wild = Edited("wild", (Edit(site, _beyond),), "beyond all", effect="total, norms frozen")
    assert isinstance(plain, Edited)
    mended = replace(plain, name="mended")
    one = Repair("a", "a", "", arm(mended, role="fitted", of=claim.name),
                 arm(wild, role="control", of=claim.name), "", nothing)  # fmt: skip
    passes: list[int] = []
    measure = Run.measure
    monkeypatch.setattr(Run, "measure", lambda *a, **k: passes.append(1) or measure(*a, **k))
    read, broken = _finite(run, (nothing, claim), [one])
    assert len(passes) == 2  # all that is finite is measured together again, not arm by arm
    with pytest.raises(NotFinite, match="What is measured of 'wild'"):
        _finite(run, (nothing, arm(wild, role="fitted", of=claim.name)), [])
    assert list(broken) == ["wild"] and "NaN or infinite" in broken["wild"]
    found = _mended(read, one, broken)
    assert found.recovered.value == read.recovered(claim.name, "mean").value
    assert found.control is not None and "NaN or infinite" in found.control.refused


def test_what_cannot_be_refitted_is_refused():
    subject = _model("plain")
    with pytest.raises(MeasurementError, match="none comes after it"):
        first_later(subject, [1])
    assert first_later(subject, [0]) == 1
    with pytest.raises(TextError, match="every fifth"):
        refit(subject, repairable.text(fit_documents=6), [INTACT], [0], first=1, how=HOW)


def test_what_comes_before_is_run_once_for_all_seeds_and_again_for_other_weights(monkeypatch):
    subject, text = repairable.model("plain"), _text()
    runs: list[object] = []
    whole = Subject.run
    monkeypatch.setattr(
        Subject, "run", lambda self, *a, **k: runs.append(1) or whole(self, *a, **k)
    )
    start = Start(INTACT, 1)
    one, other = ({"norm.weight": torch.full((repairable.WIDTH,), x)} for x in (1.0, 2.0))
    both = [condition_with("one", start, one), condition_with("other", start, other)]
    batch = plan(text.eval, 512)[0].batch(subject.device)
    first = [condition.run(subject, batch) for condition in both]
    assert len(runs) == 1 and not torch.equal(*first)
    with torch.no_grad():
        subject.anatomy.layers[0].self_attn.o_proj.weight.zero_()
    again = both[0].run(subject, batch)
    assert len(runs) == 2 and not torch.equal(again, first[0])


def test_a_shortfall_is_refused_before_anything_is_run(monkeypatch):
    model = ux.load("rung-2")
    monkeypatch.setattr(Subject, "run", lambda *a, **k: pytest.fail("a pass was run"))
    few = ux.text("pydocs", model, documents=8, fit_documents=9, block=32)
    with pytest.raises(TextError, match="every fifth"):
        ux.shortfall(model, "L0.H0", few)
    small = ux.text("pydocs", model, documents=8, fit_documents=12, block=32)
    with pytest.raises(TextError, match="10 documents 11 times; at most 10"):
        ux.shortfall(model, "L0.H0", small, steps=11)
    with pytest.raises(MeasurementError, match="none comes after it"):
        ux.shortfall(model, "L1.H0", small, steps=8)
    with pytest.raises(TextError, match="pairs of prompts"):
        ux.shortfall(model, "L0.H0", ux.pairs("agreement", model, pairs=12, fit_pairs=12))


@ux.explanation(gives="pattern", reads=["tokens"])
def evenly(view):
    """Attends to all tokens alike: wrong."""
    return ux.patterns.evenly(
        torch.ones(view.tokens.shape[1:] * 2, dtype=torch.bool)
        .tril()
        .expand(len(view.tokens), -1, -1)
    )


def _asked_of_refits(monkeypatch) -> list[str]:
    seen = []

    def refit_of(subject, text, conditions, *given, **how):
        seen.extend(one.name for one in conditions)
        return refit(subject, text, conditions, *given, **how)

    monkeypatch.setattr(import_module("unexplained.study.arms.refits"), "refit", refit_of)
    return seen


def test_where_a_refit_is_too_weak_none_is_made_over_the_claim(monkeypatch):
    model, seen = ux.load("rung-2"), _asked_of_refits(monkeypatch)
    text = ux.text("pydocs", model, documents=12, fit_documents=12, block=32)
    record = ux.shortfall(model, "L0.H0 L0.H1", text, claim=[evenly], steps=8, rate=1e-9)
    assert seen == ["intact model", "intact model"]
    assert abs(record["facts/strength/is"].value) < 0.01
    for part in ("wrong-least", "clumsy-least", "worth-after"):
        assert "too weak: of a damage" in record[f"bounds/parts/{part}/is"].refused
    assert "cannot be told (the refit is too weak" in record.verdict
    assert record["bounds/parts/short/is"].value is not None
    assert (
        record["refitted/looks/step-8/damaged"].value > record["refitted/looks/step-8/intact"].value
    )


def test_where_a_claim_falls_short_of_nothing_nothing_is_refitted(monkeypatch):
    model, seen = ux.load("rung-2"), _asked_of_refits(monkeypatch)
    monkeypatch.setattr("unexplained.bars.unsplit", lambda *given, **how: "it is whole")
    text = ux.text("pydocs", model, documents=12, fit_documents=12, block=32)
    record = ux.shortfall(model, "L0.H0", text, steps=8)
    assert not seen and not any("looks" in where for where, _ in record.numbers())
    assert record["facts/strength/is"].refused == "not tried: it is whole"
    assert record["bounds/parts/recovered-after/is"].refused == "it is whole"


def test_what_is_said_before_a_refit_is_what_is_said_after_one():
    ledger, _ = _measured("plain", PLAIN)
    name = repairable.CLAIMS["wrong"].name
    assert not bars.unsplit(ledger, name, "mean", settings=Settings())
    before = bars.shortfall(ledger, name, "mean", {}, settings=Settings(), unsplit="why")
    after = _split("plain", "wrong", PLAIN)
    for part in ("damage", "recovered", "harm", "shortfall"):
        one, other = getattr(before, part), getattr(after, part)
        assert (one.value, one.low, one.high) == pytest.approx(
            (other.value, other.low, other.high), rel=0.03
        )
    assert "falls short of nothing" in bars.unsplit(ledger, "intact", "mean", settings=Settings())


# What is put back


def _claimed(claim: str) -> tuple[Subject, object, Edited]:
    subject, text = _model("plain"), repairable.text(fit_documents=60)
    seen = observe(subject, text, [repairable.AT.at("z"), repairable.AT.at("out")])
    (stated,) = [repairable.CLAIMS[claim].fit(SITES, subject.shape, seen, 0).condition()]
    return subject, seen, stated


def test_random_numbers_have_the_mean_and_covariance_of_what_is_claimed():
    _, seen, claim = _claimed("half")
    made = noise.random_instead("random", claim, seen, 0)
    (said,), (drawn,) = claim.edits, made.edits
    after = [(local, local.batch.valid.clone()) for local in seen.at(said.where)]
    for local, valid in after:
        valid[:, 0] = False
        # What heads rest on is left as the claim has it, or a control loses more than one that knows nothing.
        assert torch.equal(said.function(local)[:, 0], drawn.function(local)[:, 0])
    both = [torch.cat([edit.function(local)[valid] for local, valid in after])
            for edit in (said, drawn)]  # fmt: skip
    assert torch.allclose(both[0].mean(0), both[1].mean(0), atol=0.02)
    assert torch.allclose(both[0].T.cov(), both[1].T.cov(), atol=0.02)


def test_random_numbers_of_what_does_not_vary_are_no_control():
    subject, seen, _ = _claimed("half")
    constant = repairable.claim(
        "a constant", lambda tokens: torch.ones(*tokens.shape, repairable.WIDTH)
    )
    fitted = constant.fit(SITES, subject.shape, seen, 0).condition()
    assert noise.random_instead("random", fitted, seen, 0) is None


def test_noise_is_the_documents_own_however_it_is_batched():
    subject, seen, claim = _claimed("half")
    made = noise.random_instead("random", claim, seen, 0)
    text = _text()
    one = evaluate(subject, text, [made], batch_tokens=64).sums("random").loss
    other = evaluate(subject, text, [made], batch_tokens=2048).sums("random").loss
    assert one == pytest.approx(other, abs=1e-4)


def test_what_the_right_claim_leaves_out_is_nothing_and_putting_it_back_changes_nothing():
    subject, seen, claim = _claimed("right")
    text = _text()
    left = noise.left_out(claim, seen)
    kinds = ("mean", "position mean", "resample", "matched noise")
    ledger = evaluate(
        subject, text, [claim, *(noise.with_rest(one, claim, one, left, 0) for one in kinds)]
    )
    for name in kinds:
        assert ledger.sums(name).loss == pytest.approx(ledger.sums(claim.name).loss, abs=1e-3)


def test_conditions_with_other_weights_are_other_conditions():
    weights = {"norm.weight": torch.ones(4)}
    one = condition_with("a", Start(INTACT, 1), weights)
    assert one.fingerprint == condition_with("b", Start(INTACT, 1), weights).fingerprint
    for other in (
        condition_with("a", Start(INTACT, 2), weights),
        condition_with("a", Start(INTACT, 1), {"norm.weight": torch.zeros(4)}),
        condition_with("a", Start(replace(INTACT, fingerprint="other"), 1), weights),
    ):
        assert other.fingerprint != one.fingerprint


def test_beside_the_claim_all_controls_are_refitted_and_the_model_as_it_is(monkeypatch):
    """Without the intact model adapting to the text counts as regained; without wrong ones anything does."""
    subject, text, claim = _model("plain"), _text(), repairable.CLAIMS["right"]
    mean, (claimed,) = _conditions(subject, text, [claim])
    asked = list[tuple[str, int]]()

    def refit_of(subject, text, conditions, seeds, **how):
        """Nothing is trained: what is asked for counts."""
        asked.extend((one.name, seed) for one in conditions for seed in seeds)
        looks = np.zeros(2)
        return {
            one.name: tuple(
                Refitted(condition_with(f"{one.name} {seed}", Start(one, 1), {}), looks, looks)
                for seed in seeds
            )
            for one in conditions
        }

    monkeypatch.setattr(import_module("unexplained.study.arms.refits"), "refit", refit_of)
    run = Run(subject, (text,), Settings())
    tried = arms.tried_refit(run, SITES, how=HOW, damage=0.1)
    found = arms.refits(run, SITES, claim, claimed, mean, tried, seeds=3)
    assert set(found.names) == {"intact", "nothing", "claim", "random", "elsewhere"}
    assert [tuple(name[-1] for name in names) for names in found.names.values()] == [("0", "1", "2")] * 5  # fmt: skip
    assert len(asked) == 2 + 2 + 4 * 3  # what was tried is the first refit of the intact model
    assert {one.card.role for one in found.arms} >= {"intact", "ablation", "fitted", "control"}
