"""Threads, and passes inside passes: a subject gives each the right numbers, or refuses by name.

Interleaving is forced: an edit waits in the middle of its pass until another thread has begun
its own, or half a second where a lock keeps the other out.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from kinds import (
    PAIRS,
    TEXT,
    measured,
    opened,
    plain,
    right_or_refused,
    zeroed,
)
from tiny import tiny_model, tokens
from unexplained.circuits import attribute_edges
from unexplained.errors import UnexplainedError
from unexplained.evaluate import evaluate
from unexplained.evaluate.conditions import Edited
from unexplained.sites import Site
from unexplained.subject import Batch, Edit, Subject
from unexplained.subject.precision import Precision
from written import from_folder, write_folder


@pytest.fixture(autouse=True)
def the_setting_for_products_as_it_was() -> Iterator[None]:
    """Passes that overlap may put it back in the wrong order; no other test is to see that."""
    matmul: Any = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    yield
    matmul.fp32_precision = before


WORDS = "thread|at once|already|another pass|in use|concurrent"
PATIENCE = 0.3
"""Seconds to wait for the other thread; with a lock it never comes."""


def halved(number: int, meet: Callable[[], object] = lambda: None, kind: str = "z") -> Edit:
    """Takes a part of a value away, another for each number, after somebody was waited for."""
    head = kind in ("z", "out", "q")
    site = Site(1, "H", number, kind) if head else Site(1, kind)
    factor = 0.5 if head else 0.1 + 0.2 * number

    def edit(local: Any) -> torch.Tensor:
        meet()
        value: torch.Tensor = local.value * factor
        return value

    return Edit(site, edit)


KINDS = ("z", "q", "out", "mlp", "attn", "resid_pre", "resid_post")
"""Heads are edited in the attention function; all else by hooks on modules that threads share."""


def logits(subject: Subject, edits: list[Edit]) -> torch.Tensor:
    return subject.run(Batch.of(tokens()), edits).normed


def together(*actions: Callable[[], Any]) -> list[Any]:
    """Run in one thread each; errors are raised here."""
    with ThreadPoolExecutor(len(actions)) as pool:
        return [future.result() for future in [pool.submit(action) for action in actions]]


def meeting(parties: int) -> Callable[[], object]:
    """Wait once for the others, or until patience runs out."""
    barrier = threading.Barrier(parties)

    def meet() -> None:
        try:
            barrier.wait(PATIENCE)
        except threading.BrokenBarrierError:
            return

    return meet


def differences(found: list[torch.Tensor], right: list[torch.Tensor]) -> dict[str, float]:
    pairs = zip(found, right, strict=True)
    return {str(i): float((one - other).abs().max()) for i, (one, other) in enumerate(pairs)}


NOUGHT = dict.fromkeys(map(str, range(8)), 0.0)


def apart(numbers: range, kind: str = "z") -> list[torch.Tensor]:
    """Each alone, with a model of its own."""
    return [logits(opened(tiny_model("llama")), [halved(i, kind=kind)]) for i in numbers]


@pytest.mark.parametrize("kind", KINDS)
def test_two_threads_that_edit_one_subject(kind: str) -> None:
    subject, meet = opened(tiny_model("llama")), meeting(2)
    edits = [[halved(i, meet, kind)] for i in range(2)]
    right_or_refused(
        lambda: differences(
            together(*(lambda e=e: logits(subject, e) for e in edits)), apart(range(2), kind)
        ),
        NOUGHT,
        WORDS,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_two_threads_with_two_subjects_of_one_model(kind: str) -> None:
    model, meet = tiny_model("llama"), meeting(2)
    subjects = [opened(model), opened(model)]
    right_or_refused(
        lambda: differences(
            together(*(lambda i=i: logits(subjects[i], [halved(i, meet, kind)]) for i in range(2))),
            apart(range(2), kind),
        ),
        NOUGHT,
        WORDS,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_two_threads_with_models_of_their_own_are_right(kind: str) -> None:
    meet = meeting(2)
    subjects = [opened(tiny_model("llama")) for _ in range(2)]
    right_or_refused(
        lambda: differences(
            together(*(lambda i=i: logits(subjects[i], [halved(i, meet, kind)]) for i in range(2))),
            apart(range(2), kind),
        ),
        NOUGHT,
        "",
    )


def test_an_intact_pass_beside_an_edited_one_is_intact() -> None:
    """The edited one waits in its edit while the intact one runs: its hooks are on the modules."""
    subject, inside, done = opened(tiny_model("llama")), threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        done.wait(PATIENCE)

    def zero(local: Any) -> torch.Tensor:
        value: torch.Tensor = local.value
        if not inside.is_set():
            wait()
        return torch.zeros_like(value)

    right = logits(opened(tiny_model("llama")), [])

    def intact() -> torch.Tensor:
        inside.wait(PATIENCE)
        try:
            return logits(subject, [])
        finally:
            done.set()

    def number() -> dict[str, float]:
        _, found = together(lambda: logits(subject, [Edit(Site(1, "mlp"), zero)]), intact)
        return differences([found], [right])

    right_or_refused(number, NOUGHT, WORDS)


def test_the_callers_own_call_of_the_model_beside_a_pass_is_the_models() -> None:
    """What we hook may not change what others get from their own model."""
    model = tiny_model("llama").eval()
    with torch.no_grad():
        right = model(input_ids=tokens(), use_cache=False).logits
    subject, inside, done = opened(model), threading.Event(), threading.Event()

    def zero(local: Any) -> torch.Tensor:
        value: torch.Tensor = local.value
        if not inside.is_set():
            inside.set()
            done.wait(PATIENCE)
        return torch.zeros_like(value)

    def own() -> torch.Tensor:
        inside.wait(PATIENCE)
        try:
            with torch.no_grad():
                logits: torch.Tensor = model(input_ids=tokens(), use_cache=False).logits
                return logits
        finally:
            done.set()

    def number() -> dict[str, float]:
        _, found = together(lambda: logits(subject, [Edit(Site(1, "mlp"), zero)]), own)
        return differences([found], [right])

    # Two kernels of attention may differ in low bits, 200 roundings of values near 8.
    right_or_refused(number, NOUGHT, WORDS, within=2e-4)


@pytest.mark.parametrize("kind", ["z", "out", "mlp"])
def test_a_pool_of_threads_that_maps_over_edits(kind: str) -> None:
    subject, meet = opened(tiny_model("llama")), meeting(4)
    right = apart(range(4), kind)

    def number() -> dict[str, float]:
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(lambda i: logits(subject, [halved(i, meet, kind)]), range(4))
            return differences(list(found), right)

    right_or_refused(number, NOUGHT, WORDS)


def test_asyncio_to_thread() -> None:
    """Context variables are copied into the thread; hooks are on the modules all the same."""
    subject, meet = opened(tiny_model("llama")), meeting(3)
    right = apart(range(3), "mlp")

    async def gathered() -> list[torch.Tensor]:
        return await asyncio.gather(
            *(asyncio.to_thread(logits, subject, [halved(i, meet, "mlp")]) for i in range(3))
        )

    right_or_refused(lambda: differences(asyncio.run(gathered()), right), NOUGHT, WORDS)


def waiting(name: str, number: int, meet: Callable[[], object], kind: str) -> Edited:
    return Edited(name, (halved(number, meet, kind),), f"halved {kind} {number}")


@pytest.mark.parametrize("kind", ["z", "out", "mlp"])
def test_two_threads_evaluate_different_parts_of_one_subject(kind: str) -> None:
    subject, meet = opened(tiny_model("llama")), meeting(2)

    def ledger(subject: Subject, head: int, meet: Callable[[], object]) -> float:
        found = evaluate(subject, TEXT, [waiting("one", head, meet, kind)])
        return found.sums("one").per_token()

    alone = [ledger(opened(tiny_model("llama")), head, lambda: None) for head in range(2)]

    def number() -> dict[str, float]:
        found = together(lambda: ledger(subject, 0, meet), lambda: ledger(subject, 1, meet))
        return dict(zip("01", found, strict=True))

    right_or_refused(number, dict(zip("01", alone, strict=True)), WORDS)


def test_two_threads_evaluate_into_one_folder(tmp_path: Path) -> None:
    subject = opened(tiny_model("llama"))
    right = plain(tiny_model("llama"))

    def number() -> dict[str, float]:
        first, second = together(
            lambda: measured(subject, folder=tmp_path), lambda: measured(subject, folder=tmp_path)
        )
        assert first == second
        return first

    right_or_refused(number, right, f"{WORDS}|process|folder")


def test_two_threads_attribute_edges_of_one_subject() -> None:
    subject = opened(tiny_model("llama"))
    right = [
        float(x) for x in attribute_edges(opened(tiny_model("llama")), PAIRS, method="eap").mean
    ]

    def number() -> dict[str, float]:
        found = together(
            *(lambda: attribute_edges(subject, PAIRS, method="eap").mean for _ in range(3))
        )
        return {
            str(i): max(abs(float(x) - y) for x, y in zip(one, right, strict=True))
            for i, one in enumerate(found)
        }

    right_or_refused(number, NOUGHT, WORDS, within=1e-5)


def test_gradients_in_one_thread_and_an_evaluation_in_another() -> None:
    subject = opened(tiny_model("llama"))
    right = plain(tiny_model("llama"))

    def number() -> dict[str, float]:
        found: list[Any] = together(
            lambda: [attribute_edges(subject, PAIRS, method="eap") for _ in range(3)],
            lambda: [measured(subject) for _ in range(6)],
        )
        worst = {
            name: max((one[name] for one in found[1]), key=lambda x: abs(x - right[name]))
            for name in right
        }
        return worst

    right_or_refused(number, right, WORDS)


def test_loading_in_one_thread_does_not_disturb_measuring_in_another(tmp_path: Path) -> None:
    folder, subject = write_folder(tmp_path / "model"), opened(tiny_model("llama"))
    right = plain(tiny_model("llama"))

    def number() -> dict[str, float]:
        _, found = together(
            lambda: [from_folder(folder) for _ in range(3)],
            lambda: [measured(subject) for _ in range(6)],
        )
        return {
            name: max((one[name] for one in found), key=lambda x: abs(x - right[name]))
            for name in right
        }

    right_or_refused(number, right, "")


def test_loading_one_model_again_beside_a_pass_on_it() -> None:
    """`load` chooses the attention of a model whose pass is half done."""
    model = tiny_model("llama")
    subject = opened(model)
    right = logits(opened(tiny_model("llama")), [halved(0)])

    def again() -> None:
        threading.Thread(target=lambda: opened(model)).start()

    right_or_refused(
        lambda: differences([logits(subject, [halved(0, again)])], [right]), NOUGHT, WORDS
    )


@pytest.mark.parametrize("setting", ["default", "oneDNN"])
@pytest.mark.parametrize("models", [1, 2])
def test_a_setting_for_products_is_put_back_after_passes_that_overlap(
    setting: str, models: int
) -> None:
    """The first to begin is the first to end: the second puts back what the first had set.

    Afterwards torch itself refuses to say its precision (`torch.get_float32_matmul_precision`).
    """
    matmul: Any = torch.backends.mkldnn.matmul
    before, inside, ended = matmul.fp32_precision, threading.Event(), threading.Event()
    subjects = [opened(tiny_model("llama")) for _ in range(models)]
    for subject in subjects:
        object.__setattr__(subject, "precision", Precision(setting, "forced"))

    def first() -> None:
        logits(subjects[0], [halved(0, lambda: inside.wait(PATIENCE))])
        ended.set()

    def wait() -> None:
        inside.set()
        ended.wait(PATIENCE)

    try:
        together(first, lambda: logits(subjects[-1], [halved(1, wait)]))
    except UnexplainedError as error:
        print(f"outcome: refused: {error}")
    assert matmul.fp32_precision == before
    torch.get_float32_matmul_precision()


# --- passes inside passes ------------------------------------------------------------------------------


def test_an_edit_that_runs_the_same_subject_sees_the_intact_model() -> None:
    """An explanation may ask the model something: the inner pass has none of the outer's edits."""
    subject = opened(tiny_model("llama"))
    fresh = opened(tiny_model("llama"))
    intact = logits(fresh, [])
    inner: list[torch.Tensor] = []

    def ask(local: Any) -> torch.Tensor:
        if not inner:
            inner.append(logits(subject, []))
        value: torch.Tensor = local.value * 0.5
        return value

    edits = [Edit(Site(1, "mlp"), ask), halved(2)]
    outer_right = logits(fresh, [Edit(Site(1, "mlp"), lambda x: x.value * 0.5), halved(2)])
    right_or_refused(
        lambda: differences([logits(subject, edits), inner[0]], [outer_right, intact]),
        NOUGHT,
        f"{WORDS}|inside|within|itself",
    )


def test_an_edit_that_evaluates_the_same_subject_is_right_or_refused() -> None:
    subject, right = opened(tiny_model("llama")), plain(tiny_model("llama"))
    inner: list[dict[str, float]] = []

    def ask(local: Any) -> None:
        if not inner:
            inner.append(measured(subject))

    def number() -> dict[str, float]:
        logits(subject, [Edit(Site(1, "mlp"), ask)])
        return inner[0]

    right_or_refused(number, right, f"{WORDS}|inside|within|itself")


def test_an_edit_that_calls_the_callers_own_model_is_right_or_refused() -> None:
    model = tiny_model("llama").eval()
    with torch.no_grad():
        right = model(input_ids=tokens(), use_cache=False).logits
    subject = opened(model)
    inner: list[torch.Tensor] = []

    def ask(local: Any) -> torch.Tensor:
        if not inner:
            inner.append(torch.zeros(1))
            inner[0] = model(input_ids=tokens(), use_cache=False).logits
        return torch.zeros_like(local.value)

    def number() -> dict[str, float]:
        logits(subject, [Edit(Site(1, "mlp"), ask)])
        return differences(inner, [right])

    right_or_refused(number, NOUGHT, f"{WORDS}|inside|within|itself", within=2e-4)


def test_a_pass_after_one_that_failed_is_intact() -> None:
    """An edit that raises leaves no hook behind."""
    subject = opened(tiny_model("llama"))
    right = logits(subject, [])

    def fail(local: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        logits(subject, [Edit(Site(1, "mlp"), fail)])
    right_or_refused(lambda: differences([logits(subject, [])], [right]), NOUGHT, "")


def test_an_edit_that_changes_its_value_in_place_changes_no_other_condition() -> None:
    """`local.value` may be the very tensor that a kept stream holds."""
    subject = opened(tiny_model("llama"))

    def in_place(local: Any) -> torch.Tensor:
        value: torch.Tensor = local.value
        return value.mul_(0.5)

    spoiling = [
        Edited(f"in place {part}", (Edit(Site(1, part), in_place),), f"in place {part}")
        for part in ("mlp", "attn", "resid_pre")
    ]
    ledger = evaluate(subject, TEXT, [*spoiling, zeroed("head.z"), zeroed("mlp")])
    right = plain(tiny_model("llama"))
    found = {
        name: ledger.sums(name).per_token() for name in ("intact", "head.z total", "mlp total")
    }
    right_or_refused(lambda: found, right, "place")
