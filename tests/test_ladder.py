"""Training the ladder: costs counted by hand, rows from the step alone, killed runs resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from unexplained import head_scores
from unexplained.errors import SubjectError
from unexplained.evaluate import AnotherModel, Other, evaluate
from unexplained.ladder import interventions
from unexplained.ladder import publish as publishing
from unexplained.ladder import train as training
from unexplained.ladder.catalogue import Catalogue, catalogue
from unexplained.ladder.publish import held_out_loss, publish
from unexplained.ladder.recipe import VOCABULARY, Recipe
from unexplained.ladder.series import FACTOR, FIRST, RUNGS, SEEDED, RunPlan, plan_of, plans
from unexplained.ladder.stream import Stream, rows
from unexplained.ladder.tokenizer import train_tokenizer
from unexplained.ladder.train import build, train
from unexplained.subject import Subject, load
from unexplained.subject.shipped import FOLDER, shipped
from unexplained.text import Block, Text, document, text
from unexplained.text.document import part
from unexplained.text.tokens import Encoder

TINY = Recipe(
    "tiny", 16, 1, 2, steps=30, rows=4, rate=1e-2, warm_up=5, vocabulary=50, context=16, repeats=0.5
)
TOKENS = np.random.default_rng(0).integers(1, 50, 2000).astype(np.int32)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_flops_are_six_for_every_weight_in_a_matrix_and_attention_by_hand() -> None:
    # One layer: 4 · 16² of attention, 3 · 16 · 48 of the MLP, 50 · 16 to unembed.
    assert TINY.hidden == 48
    assert TINY.matrices == 4 * 256 + 3 * 16 * 48 + 50 * 16
    # Scores and mixing: 2 products of 2 · T/2 · d on average, three passes: 6 · T · d.
    assert TINY.flops_per_token == 6 * TINY.matrices + 6 * 16 * 16
    assert TINY.tokens == 30 * 4 * 15
    assert TINY.compute == TINY.flops_per_token * TINY.tokens


def test_flops_are_those_that_torch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    model = build(TINY)
    batch = torch.zeros(4, 16, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model(batch, use_cache=False).logits.sum().backward()
    # Torch does not count what the causal mask saves, nor attention's own products on every
    # platform, so the matrices alone must be found, and no more than full attention besides.
    counted = counter.get_total_flops() / batch.numel()
    assert 6 * TINY.matrices <= counted + 2 * 50 * 16  # the embedding has no product to undo
    assert counted <= 6 * TINY.matrices + 2 * 6 * 16 * 16


def test_the_weights_in_matrices_are_those_of_the_model() -> None:
    for recipe in (TINY, replace(TINY, mlp=False, tied=False, head_width=12)):
        model = build(recipe)
        mlp = {} if recipe.mlp else {n for n, _ in model.named_parameters() if ".mlp." in n}
        found = sum(
            weight.numel()
            for name, weight in model.named_parameters()
            if weight.ndim == 2 and name not in mlp and (recipe.tied or "embed" not in name)
        )
        assert found == recipe.matrices


def test_the_rate_rises_stays_and_falls() -> None:
    rates = [TINY.rate_at(step) for step in range(30)]
    assert rates[:5] == pytest.approx([2e-3, 4e-3, 6e-3, 8e-3, 1e-2])
    assert rates[5:21] == pytest.approx([1e-2] * 16)
    assert all(a > b > 0 for a, b in pairwise(rates[20:]))


def test_a_shorter_run_is_the_longer_one_up_to_its_own_decay() -> None:
    short = replace(TINY, steps=10)
    assert [short.rate_at(i) for i in range(7)] == [TINY.rate_at(i) for i in range(7)]
    assert short.rate_at(8) < TINY.rate_at(8)
    for step in range(10):
        assert (rows(short, TOKENS, step) == rows(TINY, TOKENS, step)).all()


def test_every_place_of_the_stream_is_trained_on_once_in_an_epoch() -> None:
    plain = replace(TINY, repeats=0.0)
    there = len(TOKENS) // 15
    steps = range(there // 4)
    seen = [tuple(row[1:]) for step in steps for row in rows(plain, TOKENS, step)]
    whole = {tuple(TOKENS[i * 15 : i * 15 + 15]) for i in range(there)}
    assert len(set(seen)) == len(seen) and set(seen) <= whole
    assert all(rows(plain, TOKENS, step)[:, 0].max() == 0 for step in steps)


def test_enriched_rows_repeat_a_segment_and_the_others_do_not() -> None:
    found = rows(replace(TINY, context=96), np.arange(1, 2000, dtype=np.int32), 3)[:, 1:]
    periods = [
        next((p for p in range(8, 40) if (row[p:] == row[:-p]).all()), None) for row in found
    ]
    assert all(periods[:2]) and not any(periods[2:])


def test_a_run_that_was_killed_ends_in_the_same_weights_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "KEEP_EVERY", 0.0)
    whole = train(TINY, TOKENS, tmp_path / "whole", checkpoints=[10])

    class Killed(Exception):
        pass

    keep = training._save

    def killed(folder, model, optimizer, step, seconds):  # type: ignore[no-untyped-def]
        keep(folder, model, optimizer, step, seconds)
        if step in (9, 23):
            raise Killed

    monkeypatch.setattr(training, "_save", killed)
    for _ in range(2):
        with pytest.raises(Killed):
            train(TINY, TOKENS, tmp_path / "killed", checkpoints=[10])
    again = train(TINY, TOKENS, tmp_path / "killed", checkpoints=[10])
    for name in ("final", "step-10"):
        mine, its = (weights(folder.parent / name) for folder in (again, whole))
        assert all(torch.equal(mine[key], its[key]) for key in its)
    assert not (tmp_path / "killed" / training.STATE).exists()


class Killed(Exception):
    """In the place of a signal."""


def killed_at(patch: pytest.MonkeyPatch, folder: Path, *steps: int) -> None:
    """Train, keeping the state after every step, and stop where it was kept after one of these."""
    patch.setattr(training, "KEEP_EVERY", 0.0)
    keep = training._save

    def killed(folder, model, optimizer, step, seconds):  # type: ignore[no-untyped-def]
        keep(folder, model, optimizer, step, seconds)
        if step in steps:
            raise Killed

    patch.setattr(training, "_save", killed)
    with pytest.raises(Killed):
        train(TINY, TOKENS, folder, checkpoints=[10])


def flip(place: int) -> Callable[[bytes], bytes]:
    return lambda data: (
        data[: place % len(data)]
        + bytes([data[place % len(data)] ^ 4])
        + data[place % len(data) + 1 :]
    )


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[:-100],
    "cut in its head": lambda data: data[:50],
    "empty": lambda data: b"",
    "garbage": lambda data: b"no state" * 100,
    **{f"a bit flipped at {place}": flip(place) for place in (3, 40, 400, 5_000, 20_000, -1)},
}


@pytest.mark.parametrize("both", [False, True], ids=["the last", "both"])
@pytest.mark.parametrize("kind", SPOILT)
def test_a_state_that_is_damaged_is_named_and_the_one_before_it_taken(
    kind: str, both: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    whole = train(TINY, TOKENS, tmp_path / "whole", checkpoints=[10])
    with monkeypatch.context() as patch:
        killed_at(patch, tmp_path / "killed", 12)
    names = (training.STATE, training.BEFORE)
    for name in names[: 1 + both]:
        place = tmp_path / "killed" / name
        place.write_bytes(SPOILT[kind](place.read_bytes()))
    begun: list[int] = []
    step = training._step

    def counted(*words):  # type: ignore[no-untyped-def]
        begun.append(1)
        return step(*words)

    monkeypatch.setattr(training, "_step", counted)
    again = train(TINY, TOKENS, tmp_path / "killed", checkpoints=[10])
    assert len(begun) == (30 if both else 30 - 11)
    assert (again / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    for name in names[: 1 + both]:
        assert f"{name}' is damaged" in caplog.text
        assert (tmp_path / "killed" / f"{name}.damaged").exists()


def test_a_state_of_another_run_is_none_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        killed_at(patch, tmp_path / "one", 12)
    other = replace(TINY, seed=1)
    (tmp_path / "two").mkdir()
    shutil.copy(tmp_path / "one" / training.STATE, tmp_path / "two" / training.STATE)
    mixed = train(other, TOKENS, tmp_path / "two")
    plain = train(other, TOKENS, tmp_path / "plain")
    assert "is damaged" in caplog.text
    assert (mixed / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["final", "step-10"])
@pytest.mark.parametrize("kind", ["truncated", "empty", "a bit flipped at 400"])
def test_a_finished_checkpoint_that_is_damaged_is_named_and_trained_again(
    name: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(publishing, "plans", lambda: {"tiny": RunPlan(TINY, (10,))})
    train(TINY, TOKENS, tmp_path / "tiny", checkpoints=[10])
    place = tmp_path / "tiny" / name / "model.safetensors"
    before = place.read_bytes()
    place.write_bytes(SPOILT[kind](before))
    with pytest.raises(SubjectError, match=r"is damaged: model.safetensors is not what was"):
        publish(tmp_path, tmp_path / "out", train_tokenizer(["a b"] * 9, 260),
                Stream(TOKENS, TOKENS, "x"), print)  # fmt: skip
    train(TINY, TOKENS, tmp_path / "tiny", checkpoints=[10])
    assert place.read_bytes() == before
    assert f"{name}' is damaged (model.safetensors is not what was written)" in caplog.text


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"seconds": 1}'])
def test_the_cost_of_a_run_that_is_damaged_is_refused_by_name(
    content: bytes, tmp_path: Path
) -> None:
    train(replace(TINY, steps=1), TOKENS, tmp_path)
    (tmp_path / training.COST).write_bytes(content)
    with pytest.raises(SubjectError, match=r"cost\.json cannot be read"):
        training.cost_of(tmp_path)


def test_a_recipe_that_was_cut_off_does_not_lock_its_run_out(tmp_path: Path) -> None:
    train(replace(TINY, steps=1), TOKENS, tmp_path)
    place = tmp_path / "recipe.json"
    whole = place.read_bytes()
    place.write_bytes(whole[:30])
    train(replace(TINY, steps=1), TOKENS, tmp_path)
    assert place.read_bytes() == whole


def test_two_trainers_in_one_folder_are_refused(tmp_path: Path) -> None:
    with (
        training._held(tmp_path, TINY),
        pytest.raises(SubjectError, match="another process is at it"),
        training._held(tmp_path, TINY),
    ):
        pass


def test_it_learns_and_another_seed_learns_something_else(tmp_path: Path) -> None:
    told: list[float] = []
    plain, regular = replace(TINY, repeats=0.0), (np.arange(2000) * 3 % 49 + 1).astype(np.int32)
    one = train(plain, regular, tmp_path / "0", say=lambda step, loss: told.append(loss))
    other = train(replace(plain, seed=1), regular, tmp_path / "1")
    assert told[-1] < 0.9 * np.log(50)
    key = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(weights(one)[key], weights(other)[key])


def test_an_attention_only_model_has_mlps_of_zeros_from_first_to_last(tmp_path: Path) -> None:
    done = train(replace(TINY, mlp=False, tied=False), TOKENS, tmp_path / "x")
    mlps = {key: value for key, value in weights(done).items() if ".mlp." in key}
    assert len(mlps) == 3 and not any(value.any() for value in mlps.values())


def test_a_folder_of_another_recipe_is_refused(tmp_path: Path) -> None:
    train(replace(TINY, steps=1), TOKENS, tmp_path)
    with pytest.raises(SubjectError, match="another recipe"):
        train(replace(TINY, steps=2), TOKENS, tmp_path)


def test_a_recipe_of_before_there_were_interventions_is_the_same_recipe(tmp_path: Path) -> None:
    train(replace(TINY, steps=1), TOKENS, tmp_path)
    place = tmp_path / "recipe.json"
    known = json.loads(place.read_text())
    assert known.pop("intervention") == ""
    place.write_text(json.dumps(known, indent=1))
    train(replace(TINY, steps=1), TOKENS, tmp_path)
    with pytest.raises(SubjectError, match="another recipe"):
        train(replace(TINY, steps=1, intervention="smeared keys"), TOKENS, tmp_path)


def attention_of(name: str, smear: float = 0.0) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits of a new model under an intervention, and its patterns."""
    model: Any = training.build(replace(TINY, layers=2, intervention=name))
    with torch.no_grad():
        for layer in model.model.layers if name == "smeared keys" else ():
            layer.self_attn.smear.fill_(smear)
        if not name:
            interventions.watch(model)
        with interventions.watched() as patterns:
            logits = model(torch.arange(1, 11)[None], use_cache=False).logits
    assert len(patterns) == 2
    return logits, patterns


def test_interventions_change_attention_as_they_say() -> None:
    plain = training.build(replace(TINY, layers=2))(torch.arange(1, 11)[None]).logits
    logits, patterns = attention_of("")
    torch.testing.assert_close(logits, plain)
    # With all of the share on its own key a smeared one is none; with none of it the key before.
    torch.testing.assert_close(attention_of("smeared keys", 40.0)[0], plain)
    before = attention_of("smeared keys", -40.0)[1][0]
    assert not torch.allclose(before, patterns[0])
    torch.testing.assert_close(
        before[..., 0], before[..., 1].where(torch.arange(10) > 0, before[..., 0])
    )
    held = attention_of("no previous token")[1]
    assert not held[0].diagonal(-1, -2, -1).any() and held[0].diagonal(-2, -2, -1).all()
    assert held[1].diagonal(-1, -2, -1).all(), "the second layer looks where it will"
    own = attention_of("own position only")[1]
    torch.testing.assert_close(own[0], torch.eye(10).expand_as(own[0]))
    with pytest.raises(SubjectError, match="Did you mean smeared keys"):
        training.build(replace(TINY, intervention="smeared key"))


def test_what_an_intervention_learns_is_kept(tmp_path: Path) -> None:
    recipe = replace(TINY, steps=3, intervention="smeared keys")
    kept = weights(train(recipe, TOKENS, tmp_path))["model.layers.0.self_attn.smear"]
    assert kept.any() and kept.shape == (recipe.heads,)


def test_a_rate_that_blows_up_stops_by_name(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match="Training tiny"):
        train(replace(TINY, rate=1e38), TOKENS, tmp_path)


def test_the_series_is_geometric_and_its_seeds_are_whole_runs() -> None:
    for number, recipe in enumerate(RUNGS):
        assert recipe.compute == pytest.approx(FIRST * FACTOR**number, rel=0.1)
    known = plans()
    assert {n for n in known if n.startswith("rung-1")} == {
        "rung-1",
        "rung-1-seed-1",
        "rung-1-seed-2",
    }
    assert len([n for n in known if "seed" in n]) == 2 * SEEDED
    costs = [plan.recipe.compute for plan in known.values()]
    assert costs == sorted(costs, reverse=True)
    with pytest.raises(SubjectError, match="Did you mean rung-1"):
        plan_of("rung1")


def test_the_tokenizer_begins_every_text_with_its_mark_and_loses_nothing() -> None:
    tokenizer = train_tokenizer(["def f(x):\n    return x + 1\n", "Ünïcode, too. "] * 20, 300)
    text = "def g(ü):\n\treturn 'né'  "
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id == 0
    assert tokenizer.decode(ids[1:]) == text


def test_a_recipe_is_kept_beside_its_run(tmp_path: Path) -> None:
    train(replace(TINY, steps=1), TOKENS, tmp_path)
    kept = json.loads((tmp_path / "recipe.json").read_text())
    assert Recipe(**kept) == replace(TINY, steps=1)
    assert json.loads((tmp_path / training.COST).read_text())["seconds"] > 0


def test_what_ships_is_whole_and_loads_with_transformers_alone() -> None:
    known = catalogue()
    assert {one.name for one in known.models} == set(shipped())
    for name in ("rung-1", "attention-2"):
        model = AutoModelForCausalLM.from_pretrained(FOLDER / name)
        assert sum(w.numel() for w in model.parameters()) == known.named(name).parameters
    assert len(AutoTokenizer.from_pretrained(FOLDER / "tokenizer")) == VOCABULARY


def test_the_catalogue_counts_what_the_recipes_say() -> None:
    for one in catalogue().models:
        plan = plan_of(one.name.split("-step-")[0])
        assert (one.steps, one.seed) == (plan.recipe.steps, plan.recipe.seed)
        share = one.step / one.steps
        assert one.compute == pytest.approx(plan.recipe.compute * share, rel=1e-12)
        assert one.step == one.steps or one.step in plan.checkpoints


def test_the_losses_of_the_rungs_fall_on_text_that_they_never_saw() -> None:
    first = load("rung-1", device="cpu")
    text = pydocs_like(first)
    conditions = [Other(n, AnotherModel(load(n, device="cpu"))) for n in ("rung-3", "rung-6")]
    ledger = evaluate(first, text, conditions)
    losses = [ledger.sums(name).per_token() for name in ("intact", "rung-3", "rung-6")]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] < np.log(VOCABULARY)


def pydocs_like(subject: Subject, blocks: int = 1) -> Text:
    """Some of our own prose, cut as a text is: so many blocks of every page, taken for documents."""
    root = Path(__file__).parent.parent
    pages = [p.read_text(encoding="utf-8") for p in sorted((root / "docs").rglob("*.md"))]
    words = [document(page, "docs") for page in pages for _ in range(blocks)]
    ids = [
        whole[128 * place : 128 * (place + 1)]
        for whole in Encoder(subject).encode([item.text for item in words[::blocks]])
        for place in range(blocks)
    ]
    words, ids = zip(*((w, i) for w, i in zip(words, ids, strict=True) if len(i) > 2), strict=True)
    # Named so that they are of the eval part: the ladder was trained on documents of the fit part.
    names = (n for n in map(str, count()) if part(n) == "eval")
    blocks = tuple(Block(n, d.domain, i) for n, d, i in zip(names, words, ids, strict=False))
    return Text("docs", blocks, (), lambda: iter(()), "p", 128, VOCABULARY, "f", (), {})


def test_an_attention_only_model_grew_induction_heads_between_two_checkpoints() -> None:
    scores = []
    for name in ("attention-2-step-8000", "attention-2"):
        subject = load(name, device="cpu")
        repeats = text("repeats", subject, documents=4, fit_documents=1, block=96)
        scores.append(max(score.induction for score in head_scores(subject, repeats)))
    assert scores[0] < 0.1 and scores[1] > 0.5


def test_the_loss_on_kept_back_documents_by_hand(tmp_path: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(train(TINY, TOKENS, tmp_path))
    rows_ = [torch.tensor([0, *TOKENS[i * 15 : i * 15 + 15]]) for i in range(len(TOKENS) // 15)]
    # Transformers' own loss, a row at a time: every row has as many predictions.
    with torch.no_grad():
        each = [float(model(row[None].long(), labels=row[None].long()).loss) for row in rows_]
    assert held_out_loss(model, TINY, TOKENS) == pytest.approx(np.mean(each), rel=1e-5)


def test_published_runs_are_checkpoints_that_any_tool_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "plans", lambda: {"tiny": RunPlan(TINY, (10,))})
    runs, out = tmp_path / "runs", tmp_path / "models"
    with pytest.raises(SubjectError, match="none of them is finished"):
        publish(runs, out, None, Stream(TOKENS, TOKENS, "x"), print)
    whole = train(TINY, TOKENS, runs / "tiny", checkpoints=[10])
    tokenizer = train_tokenizer(["a b c d e"] * 9, 260)
    told: list[str] = []
    path = publish(runs, out, tokenizer, Stream(TOKENS, TOKENS, "x"), told.append)
    assert told == ["tiny", "tiny-step-10"]
    known = Catalogue(**json.loads(path.read_text()))
    final, early = known.named("tiny"), known.named("tiny-step-10")
    assert (final.step, early.step, final.steps) == (30, 10, 30)
    assert early.compute * 3 == final.compute == TINY.compute
    assert (final.role, early.role) == ("rung", "checkpoint")
    kept, trained = weights(out / "tiny"), weights(whole)
    assert all(torch.equal(kept[key], trained[key].half()) for key in trained)
    model = AutoModelForCausalLM.from_pretrained(out / "tiny", dtype=torch.float32)
    assert held_out_loss(model, TINY, TOKENS) == pytest.approx(final.held_out, rel=1e-6)
    assert AutoTokenizer.from_pretrained(out / "tokenizer")("a")["input_ids"][0] == 0
    assert publish(runs, out, tokenizer, Stream(TOKENS, TOKENS, "x"), told.append) == path
