"""`evaluate` on pairs: prefixes, side by side, logit differences and budgets against one loop over prompts."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tiny import VARIED, VOCABULARY, there, tiny_model, tiny_subject
from unexplained.ablations import ABLATIONS, AblationError, record_for
from unexplained.errors import MeasurementError, TextError
from unexplained.evaluate import Condition, Edited, Program, evaluate
from unexplained.evaluate.batches import BatchPlan
from unexplained.sites import Site
from unexplained.subject import Edit, Subject
from unexplained.text import Block, Pair, Text

LENGTHS = ((12, 7), (12, 7), (11, 7), (11, 4), (9, 4), (9, 4))
"""Tokens of each prompt, and how many of them the corrupted one shares."""


def pair(number: int, length: int, shared: int) -> Pair:
    rng = np.random.default_rng(number)
    tokens = rng.integers(0, VOCABULARY, length).astype(np.int32)
    corrupted = tokens.copy()
    corrupted[shared:-1] = (corrupted[shared:-1] + 1 + number) % VOCABULARY
    answer, wrong = rng.choice(VOCABULARY, 2, replace=False)
    return Pair(
        f"p{number}", "made up", tokens, corrupted=corrupted, answer=int(answer),
        wrong=int(wrong), orbit=f"o{number // 2}", labels={"order": "ab"[number % 2]},
    )  # fmt: skip


def text_of(*blocks: Block) -> Text:
    return Text("made up", blocks, (), lambda: iter(()), "p", 12, VOCABULARY, "f", (), {})


PAIRS = tuple(pair(i, *sizes) for i, sizes in enumerate(LENGTHS))
TEXT = text_of(*PAIRS)
WHERE = "L*.H* L*.mlp L1.H*.q L1.H*.k L1.H*.v L1.attn L2.resid_pre L1.N3"


@pytest.fixture(params=VARIED)
def subject(request: pytest.FixtureRequest) -> Subject:
    return tiny_subject(request.param)


def patches(subject: Subject, where: str = WHERE, text: Text = TEXT) -> list[Condition]:
    patch, sites = ABLATIONS.get("patch"), subject.sites(there(subject, where))
    recorded = record_for(patch, subject, text, sites)
    return [patch.fit(recorded, [site], 0).condition(str(site)) for site in sites]


def by_loop(subject: Subject, site: Site, pair: Pair) -> torch.Tensor:
    """Logits at the end with one site patched: two whole passes over one prompt, no planner."""
    from unexplained.subject import Batch

    where = site.at("z") if site.part == "H" and not site.value else site
    clean, other = (
        Batch.of(torch.tensor(ids[None].astype(np.int64))) for ids in (pair.tokens, pair.corrupted)
    )
    value = subject.run(other, keep=[where]).values[where]
    done = subject.run(clean, [Edit(where, lambda local: value)])
    return subject.logits(done.normed)[0, -1].double()


def bound(logits: torch.Tensor) -> float:
    """Rounding of 3 layers and an unembedding, in another order: some hundred units."""
    return 400 * torch.finfo(torch.float32).eps * float(logits.abs().max())


def test_patched_logit_differences_and_losses_are_those_of_a_loop_over_prompts(
    subject: Subject,
) -> None:
    ledger = evaluate(subject, TEXT, patches(subject), batch_tokens=40)
    assert ledger.documents == ("o0", "o1", "o2")
    for site in subject.sites(there(subject, WHERE)):
        logits = [by_loop(subject, site, one) for one in PAIRS]
        sums = ledger.sums(str(site))
        assert sums.tokens.tolist() == [2, 2, 2]
        ends = [(x[p.answer] - x[p.wrong], -x.log_softmax(-1)[p.answer]) for x, p in zip(logits, PAIRS, strict=True)]  # fmt: skip
        logit_differences, losses = torch.tensor(ends).T
        slack = 2 * bound(torch.stack(logits))
        np.testing.assert_allclose(
            sums.logit_difference, logit_differences.view(3, 2).sum(-1), atol=slack, rtol=0
        )
        np.testing.assert_allclose(sums.loss, losses.view(3, 2).sum(-1), atol=slack, rtol=0)
        assert sums.preferred.tolist() == (logit_differences > 0).view(3, 2).sum(-1).tolist()
        right = torch.tensor([int(x.argmax()) == p.answer for x, p in zip(logits, PAIRS, strict=True)])  # fmt: skip
        assert sums.correct.tolist() == right.view(3, 2).sum(-1).tolist()


MODULES = {
    "gpt2": ("transformer.h.{}.attn.c_proj", "transformer.h.{}.mlp"),
    "gpt_neox": ("gpt_neox.layers.{}.attention.dense", "gpt_neox.layers.{}.mlp"),
    "gemma2": ("model.layers.{}.self_attn.o_proj", "model.layers.{}.post_feedforward_layernorm"),
    "olmo2": ("model.layers.{}.self_attn.o_proj", "model.layers.{}.post_feedforward_layernorm"),
    "opt": ("model.decoder.layers.{}.self_attn.out_proj", "model.decoder.layers.{}.fc2"),
}
"""What reads all heads' z, and what gives what the MLP adds; of all other architectures Llama's."""


def by_hooks(name: str, site: Site, one: Pair) -> torch.Tensor:
    """Hugging Face's eager model, torch's hooks and two whole passes: nothing of ours."""
    model = tiny_model(name).eval()
    model.set_attn_implementation("eager")
    llama = ("model.layers.{}.self_attn.o_proj", "model.layers.{}.mlp")
    head, mlp = MODULES.get(name.split(",")[0], llama)
    module = model.get_submodule((head if site.part == "H" else mlp).format(site.layer))
    size = getattr(model.config, "head_dim", None) or 32 // 4
    columns = slice(site.index * size, (site.index + 1) * size)
    seen: list[torch.Tensor] = []

    def head_hook(_, args):
        z = args[0].clone()
        if seen:
            z[..., columns] = seen[0]
        seen.append(z[..., columns])
        return (z,)

    def mlp_hook(_, args, output):
        seen.append(output)
        return seen[0]

    if site.part == "H":
        module.register_forward_pre_hook(head_hook)
    else:
        module.register_forward_hook(mlp_hook)
    with torch.no_grad():
        for ids in (one.corrupted, one.tokens):
            logits = model(torch.tensor(ids[None].astype(np.int64)), use_cache=False).logits
    assert len(seen) == 2
    return logits[0, -1].double()


@pytest.mark.parametrize("name", VARIED)
def test_patches_are_those_of_plain_hooks_on_hugging_faces_model(name: str) -> None:
    where = "L*.H* L*.mlp"
    subject = tiny_subject(name)
    ledger = evaluate(subject, TEXT, patches(subject, where))
    for site in subject.sites(where):
        logits = [by_hooks(name, site, one) for one in PAIRS]
        logit_differences = [
            float(x[p.answer] - x[p.wrong]) for x, p in zip(logits, PAIRS, strict=True)
        ]
        losses = [-float(x.log_softmax(-1)[p.answer]) for x, p in zip(logits, PAIRS, strict=True)]
        slack, found = 2 * bound(torch.stack(logits)), ledger.sums(str(site))
        for mine, plain in ((found.logit_difference, logit_differences), (found.loss, losses)):
            np.testing.assert_allclose(mine, np.reshape(plain, (3, 2)).sum(-1), atol=slack, rtol=0)


def test_logit_differences_alone_are_the_same_logit_differences(subject: Subject) -> None:
    conditions = patches(subject, "L*.H*")
    both = [
        evaluate(subject, TEXT, conditions, measure=kind) for kind in ("all", "logit difference")
    ]
    for condition in conditions:
        whole, alone = (ledger.sums(condition.name) for ledger in both)
        assert whole.logit_difference.tolist() == alone.logit_difference.tolist()
        assert np.isnan(alone.loss).all() and np.isfinite(whole.loss).all()


def test_every_way_of_running_gives_the_same_numbers(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side by side or not, after the prefix or whole, with streams kept or computed again."""
    conditions = patches(subject)
    job = sys.modules["unexplained.evaluate.job"]
    base = evaluate(subject, TEXT, conditions)
    slack = 1e-4
    # Fused attention has other low bits without padding or prefix; what is written out has not.
    least_moved = -1 if subject.anatomy.architecture.name == "gemma2" else 0

    def differ(**options: float) -> float:
        other = evaluate(subject, TEXT, conditions, **options)  # type: ignore[arg-type]
        return max(np.abs(base.sums(c.name).logit_difference - other.sums(c.name).logit_difference).max() for c in conditions)  # fmt: skip

    assert differ() == 0
    assert least_moved < differ(batch_tokens=12) < slack  # no padding, other prefixes
    least = 4 * 6 * 12 * subject.shape.width * 4
    assert differ(memory=least) < slack
    monkeypatch.setattr(job, "STACK", {"cpu": 1, "cuda": 1})
    assert differ() < slack
    assert differ(memory=least) < slack
    monkeypatch.setattr(BatchPlan, "shared", 0)
    assert least_moved < differ() < slack


def test_streams_that_did_not_fit_are_made_again_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = tiny_subject("llama")
    monkeypatch.setattr(sys.modules["unexplained.evaluate.job"], "STACK", {"cpu": 1, "cuda": 1})
    runs: list[tuple[int, ...]] = []
    honest = type(subject).run

    def counted(self, batch, edits=(), **options):
        runs.append(tuple(options.get("keep_streams", ())))
        return honest(self, batch, edits, **options)

    conditions = patches(subject, "L*.H*")
    plenty = evaluate(subject, TEXT, conditions)
    monkeypatch.setattr(type(subject), "run", counted)
    stream = 6 * 8 * subject.shape.width * 4  # after a prefix of 4
    scarce = evaluate(subject, TEXT, conditions, memory=8 * stream)
    assert plenty.table.equals(scarce.table)
    assert [kept for kept in runs if kept] == [(0, 1), (2,)]


def test_side_by_side_only_as_many_starts_are_held_as_the_budget_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Conditions of several layers share a pass only within one window of kept streams."""
    subject = tiny_subject("llama")
    joined: list[set[int]] = []
    honest = type(subject).run

    def seen(self, batch, edits=(), **options):
        joined.append({copy.resume.layer for copy in options.get("copies", ())})
        return honest(self, batch, edits, **options)

    conditions = patches(subject, "L*.H* L2.resid_post final")
    plenty = evaluate(subject, TEXT, conditions)
    monkeypatch.setattr(type(subject), "run", seen)
    stream = 6 * 8 * subject.shape.width * 4  # after a prefix of 4
    scarce = evaluate(subject, TEXT, conditions, memory=4 * stream)
    assert max(map(len, joined)) == 1
    for condition in conditions:
        one, other = (ledger.sums(condition.name).logit_difference for ledger in (plenty, scarce))
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_value_at_the_end_that_is_a_view_can_be_patched(subject: Subject) -> None:
    """A patch on prompts that share a beginning is a slice of what was recorded."""
    text = text_of(*(one for one in PAIRS if one.shared == 7))
    ledger = evaluate(subject, text, patches(subject, "final", text))
    (site,) = subject.sites("final")
    logits = [by_loop(subject, site, one) for one in text.eval]
    logit_differences = [
        float(x[p.answer] - x[p.wrong]) for x, p in zip(logits, text.eval, strict=True)
    ]
    found = ledger.sums("final").logit_difference.sum()
    assert found == pytest.approx(sum(logit_differences), abs=4 * bound(torch.stack(logits)))


def test_a_budget_that_is_too_small_says_what_it_takes() -> None:
    subject = tiny_subject("llama")
    with pytest.raises(
        MeasurementError, match=r"budget of 1e-06 GB.*6 x 8 tokens takes 2\.5e-05 GB"
    ):
        evaluate(subject, TEXT, patches(subject, "L1.H0"), memory=1000)


@pytest.mark.parametrize("memory", [0.0, -1e9, float("nan"), float("inf")])
def test_what_is_no_amount_of_memory_is_refused(memory: float) -> None:
    subject = tiny_subject("llama")
    with pytest.raises(MeasurementError, match="no amount of memory"):
        evaluate(subject, TEXT, patches(subject, "L1.H0"), memory=memory)


def test_logit_differences_of_running_text_and_patches_of_it_are_refused() -> None:
    subject = tiny_subject("llama")
    running = text_of(Block("a", "x", np.arange(9, dtype=np.int32)))
    with pytest.raises(MeasurementError, match="running text"):
        evaluate(subject, running, [], measure="logit difference")
    with pytest.raises(TextError, match="running text"):
        record_for(ABLATIONS.get("patch"), subject, running, subject.sites("L1.H0"))
    with pytest.raises(TextError, match="not run"):
        evaluate(subject, running, patches(subject, "L1.H0"))
    with pytest.raises(AblationError, match=r"Patch L1\.H0\.q and L1\.H0\.k"):
        patches(subject, "L1.H0.pattern")


def test_prompts_of_different_lengths_are_no_pair() -> None:
    with pytest.raises(TextError, match="have 3 and 4 tokens"):
        Pair("p", "x", np.arange(3, dtype=np.int32), corrupted=np.arange(4, dtype=np.int32),
             answer=1, wrong=2, orbit="o")  # fmt: skip


def test_a_pair_that_shares_nothing_is_run_whole() -> None:
    subject = tiny_subject("llama")
    text = text_of(pair(0, 9, 0))
    ledger = evaluate(subject, text, patches(subject, "L1.H1", text))
    expected = by_loop(subject, Site(1, "H", 1), pair(0, 9, 0))
    one = text.eval[0]
    assert isinstance(one, Pair)
    logit_difference = float(expected[one.answer] - expected[one.wrong])
    assert ledger.sums("L1.H1").logit_difference[0] == pytest.approx(
        logit_difference, abs=bound(expected)
    )


def test_a_program_is_scored_like_the_edits_that_it_makes(subject: Subject) -> None:
    halve = Edit(Site(1, "mlp"), lambda local: local.value * 0.5)
    program = Program("program", lambda s, batch: s.run(batch, [halve]).normed, "p")
    ledger = evaluate(subject, TEXT, [Edited("edited", (halve,), "e"), program])
    edited, program_ = (ledger.sums(name) for name in ("edited", "program"))
    np.testing.assert_allclose(program_.loss, edited.loss, atol=1e-5)


def test_a_resumed_sweep_of_pairs_is_the_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    subject = tiny_subject("llama")
    conditions = patches(subject)
    whole = evaluate(subject, TEXT, conditions, batch_tokens=24)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            evaluate(subject, TEXT, conditions, folder=tmp_path, batch_tokens=24, progress=stop)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    assert len(files) == 2
    again = evaluate(subject, TEXT, conditions, folder=tmp_path, batch_tokens=24)
    assert again.table.equals(whole.table)
    assert {path: path.stat().st_mtime_ns for path in files} == files


def _hold(folder: Path, ready: object, go: object) -> None:
    def wait(done: int, total: int) -> None:
        ready.set()  # type: ignore[attr-defined]
        go.wait(60)  # type: ignore[attr-defined]

    subject = tiny_subject("llama")
    evaluate(subject, TEXT, patches(subject, "L1.H0"), folder=folder, progress=wait)


def test_two_processes_in_one_folder_are_refused_and_the_first_is_not_harmed(
    tmp_path: Path,
) -> None:
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, ready, go))
    other.start()
    try:
        assert ready.wait(120)
        subject = tiny_subject("llama")
        with pytest.raises(MeasurementError, match="another process is measuring"):
            evaluate(subject, TEXT, patches(subject, "L1.H0"), folder=tmp_path)
        go.set()
        other.join(60)
        assert other.exitcode == 0
        evaluate(subject, TEXT, patches(subject, "L1.H0"), folder=tmp_path)
    finally:
        other.kill()


def test_only_what_is_new_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = tiny_subject("llama")
    monkeypatch.setattr(sys.modules["unexplained.evaluate.job"], "STACK", {"cpu": 1, "cuda": 1})
    conditions = patches(subject, "L*.H*")
    evaluate(subject, TEXT, conditions[::2], folder=tmp_path)
    ran: list[object] = []
    honest = type(subject).run

    def counted(self, batch, edits=(), **options):
        ran.extend(edits)
        return honest(self, batch, edits, **options)

    monkeypatch.setattr(type(subject), "run", counted)
    again = evaluate(subject, TEXT, conditions, folder=tmp_path)
    assert len(ran) == len(conditions[1::2])
    monkeypatch.undo()
    monkeypatch.setattr(sys.modules["unexplained.evaluate.job"], "STACK", {"cpu": 1, "cuda": 1})
    assert again.table.equals(evaluate(subject, TEXT, conditions).table)


AT_RANDOM = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import numpy as np, torch
torch.set_num_threads(1)
from test_planner import TEXT, patches, tiny_subject
from unexplained.evaluate import evaluate
from unexplained.ledger import Ledger
subject = tiny_subject("llama")
conditions = patches(subject, "L*.H* L*.mlp")
def measure(folder):
    return evaluate(subject, TEXT, conditions, folder=folder, batch_tokens=24)
def counting(stop):
    calls = [0]
    def count(frame, event, argument):
        if "unexplained" in frame.f_code.co_filename and event in ("call", "return"):
            calls[0] += 1
            if calls[0] == stop:
                os.kill(os.getpid(), signal.SIGKILL)
    return calls, count
whole = measure(None)
calls, count = counting(-1)
sys.setprofile(count); measure(Path({folder!r}) / "counted"); sys.setprofile(None)
moments = np.random.default_rng(0).integers(1, calls[0], 8)
kept = Path({folder!r}) / "kept"
killed = 0
for at, moment in enumerate(moments):
    folder = kept if at % 2 else Path({folder!r}) / f"fresh{{at}}"
    child = os.fork()
    if child == 0:
        sys.setprofile(counting(moment)[1])
        measure(folder)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    for path in folder.rglob("[0-9a-f]*.parquet"):
        Ledger.read(path)  # whole, or not there
    if at % 2 == 0:
        assert measure(folder).table.equals(whole.table), moment
assert measure(kept).table.equals(whole.table)
print(f"killed {{killed}} times")
"""


def test_killed_at_random_moments_and_resumed_it_is_the_uninterrupted_ledger_bit_for_bit(
    tmp_path: Path,
) -> None:
    """At calls and returns drawn from all of the package's own, with SIGKILL, eight times."""
    code = AT_RANDOM.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Four start from nothing and must all be killed; of those that go on, some have less to do.
    assert int(done.stdout.split()[1]) >= 4, done.stdout
