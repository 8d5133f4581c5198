"""The same ledger from the workers of a Ray cluster, whatever happens to them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from arrays_kept import BATCHES, KINDS, right
from test_assay import halves, subject_of, texts_of
from tiny import tiny_model, tiny_subject, tiny_tokenizer, tokens
from unexplained.errors import MeasurementError, SubjectError
from unexplained.evaluate import (
    AnotherModel,
    Condition,
    Edited,
    Other,
    evaluate,
    ray_session,
    task_queue,
)
from unexplained.evaluate.cluster import RayWorkers, WorkerPool, _Member, ray_workers
from unexplained.evaluate.shipping import Blueprint, pack, parts_of, unpack
from unexplained.evaluate.task_queue import TaskQueue
from unexplained.evaluate.work import Task
from unexplained.ledger import Ledger
from unexplained.subject import Batch, Edit, Local, Subject, load
from unexplained.text import Text
from unexplained.text.ngrams import ngrams

BATCH = 128


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As many as each worker has: the low bits depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def kept() -> Iterator[RayWorkers]:
    """Two workers for all tests of this file; those that die in one are replaced in the next."""
    with ray_workers(workers=2) as workers:
        yield workers


@pytest.fixture(scope="module")
def asked() -> tuple[Subject, Text]:
    subject, _ = subject_of("half_induction")
    return subject, texts_of(subject)[1]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")}


@pytest.mark.slow
def test_ray_that_the_user_started_is_left_and_ours_is_ended() -> None:
    ray, environment = ray_session.import_ray(), dict(os.environ)
    with ray_session.session(None, 1, 1, 0):
        assert ray.is_initialized()
        with (
            pytest.raises(MeasurementError, match="not ended yet"),
            ray_session.session("127.0.0.1:1", 1, 1, 0),
        ):
            pass
        with ray_session.session(None, 1, 1, 0):
            pass
        assert ray.is_initialized()
        ray_session._ours.clear()  # from here on it is as if the user had started it
        with ray_session.session("auto", 1, 1, 0):
            pass
        assert ray.is_initialized()
        with (
            pytest.raises(MeasurementError, match="has joined the cluster at"),
            ray_session.session("127.0.0.1:1", 1, 1, 0),
        ):
            pass
        assert ray_session.capacity(ray, 1, 0) == 1
        assert ray_session.capacity(ray, 2, 0) == ray_session.capacity(ray, 1, 1) == 0
        ray_session._ours.append(None)
    assert not ray.is_initialized()
    assert os.environ == environment


@pytest.mark.slow
def test_two_workers_give_the_ledger_of_one_process_bit_for_bit_under_the_same_names(
    kept: RayWorkers, asked: tuple[Subject, Text], tmp_path: Path
) -> None:
    subject, text = asked
    wanted = [
        *halves(subject),
        *(Other(table.name, table) for table in ngrams(text)),
        Other("weaker", AnotherModel(subject.twin(1))),
    ]
    told: list[tuple[int, int]] = []

    def measure(folder: str, **settings: object) -> Ledger:
        return evaluate(
            subject, text, wanted, folder=tmp_path / folder, keep_tokens=["intact"],
            batch_tokens=BATCH, **settings,
        )  # type: ignore[arg-type]  # fmt: skip

    here = measure("here")
    there = measure("there", workers=kept, progress=lambda *now: told.append(now))
    assert there.table.equals(here.table)
    assert there.tokens.equals(here.tokens)
    assert there.tokens.num_rows
    assert files(tmp_path / "here") == files(tmp_path / "there")
    total = (len(wanted) + 1) * 6  # 16 documents of 40 tokens, 3 to a batch
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def listening(family: str) -> dict[str, str]:
    """Sockets of this machine that listen: inode -> address as the system writes it."""
    lines = Path(f"/proc/net/{family}").read_text().splitlines()[1:]
    words = [line.split() for line in lines]
    return {w[9]: w[1].partition(":")[0] for w in words if w[3] == "0A"}


def sockets_below(process: int) -> set[str]:
    """Inodes of the sockets of a process and of what it started."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    mine = {process}
    while more := {child for child, parent in parents.items() if parent in mine} - mine:
        mine |= more
    links = []
    for path in (one for number in mine for one in Path(f"/proc/{number}/fd").glob("*")):
        with suppress(OSError):
            links.append(str(path.readlink()))
    return {link[8:-1] for link in links if link.startswith("socket:[")}


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's lists of sockets")
def test_ray_that_is_started_here_listens_here_alone_and_shows_its_files_to_nobody(
    kept: RayWorkers, asked: tuple[Subject, Text]
) -> None:
    subject, text = asked
    before = signal.getsignal(signal.SIGTERM)
    evaluate(subject, text, [], batch_tokens=BATCH, workers=kept)
    assert signal.getsignal(signal.SIGTERM) == before
    every = listening("tcp") | listening("tcp6")
    found = {every[inode] for inode in sockets_below(os.getpid()) & every.keys()}
    # 127.0.0.1 in both families, each word in the machine's order.
    assert found and found <= {"0100007F", "0000000000000000FFFF00000100007F"}
    ray = ray_session.import_ray()
    session = Path(ray._private.worker._global_node.get_session_dir_path())
    assert session.stat().st_mode & 0o077 == 0
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    assert not token.exists() or token.stat().st_mode & 0o077 == 0


def test_what_one_process_kept_is_found_by_workers_with_as_many_threads_and_no_others(
    kept: RayWorkers, asked: tuple[Subject, Text], tmp_path: Path
) -> None:
    subject, text = asked
    evaluate(subject, text, halves(subject), folder=tmp_path, batch_tokens=BATCH)
    before = files(tmp_path)
    # Never called for work, so Ray is not even started.
    idle = ray_workers(workers=1)
    evaluate(subject, text, halves(subject), folder=tmp_path, batch_tokens=BATCH, workers=idle)
    assert files(tmp_path) == before
    torch.set_num_threads(2)
    evaluate(subject, text, halves(subject), folder=tmp_path, batch_tokens=BATCH, workers=kept)
    assert files(tmp_path) == before
    evaluate(subject, text, [], folder=tmp_path, batch_tokens=BATCH)
    assert len({Path(name).parent for name in files(tmp_path)}) == 2


def killer(subject: Subject, document: str, marker: Path | None) -> Edited:
    """Halves a head, and kills its process on one document: once, or always."""

    def function(local: Local) -> Tensor:
        if document in local.batch.documents and (marker is None or not marker.exists()):
            if marker is not None:
                marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return local.value * 0.5

    return Edited("killer", (Edit(subject.sites("L0.H1")[0], function),), "killer")


def harmless(subject: Subject) -> Edited:
    site = subject.sites("L0.H1")[0]
    return Edited("killer", (Edit(site, lambda local: local.value * 0.5),), "killer")


def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost_or_counted_twice(
    kept: RayWorkers, asked: tuple[Subject, Text], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, text = asked
    monkeypatch.setattr(sys.modules["unexplained.evaluate.job"], "GROUP", {"cpu": 2})
    rest = [one for one in halves(subject) if one.name != "L0.H1"]
    whole = evaluate(subject, text, [*rest, harmless(subject)], batch_tokens=BATCH)
    marker, told = tmp_path / "killed", []
    got = evaluate(
        subject,
        text,
        [*rest, killer(subject, text.eval[7].document, marker)],
        batch_tokens=BATCH,
        folder=tmp_path / "kept",
        workers=kept,
        progress=lambda done, total: told.append(done),
    )
    assert marker.exists()
    assert got.table.equals(whole.table)
    assert len(told) == len(set(told)) == len(files(tmp_path / "kept"))
    assert kept._pool is not None
    assert len(kept._pool._members) == 2


@pytest.mark.slow
def test_where_every_worker_dies_the_unit_is_named_and_all_others_are_kept(
    kept: RayWorkers, asked: tuple[Subject, Text], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, text = asked
    monkeypatch.setattr(task_queue, "ATTEMPTS", 2)
    bad = killer(subject, text.eval[7].document, None)
    told: list[int] = []
    with pytest.raises(MeasurementError, match=r"'killer'.* on batch 2 \(unit \w{16}") as error:
        evaluate(
            subject, text, [bad], folder=tmp_path, batch_tokens=BATCH, workers=kept,
            progress=lambda done, total: told.append(done),
        )  # fmt: skip
    assert text.eval[6].document in str(error.value)
    assert "2 workers died on it" in str(error.value)
    assert len(files(tmp_path)) == 5
    whole = evaluate(subject, text, [harmless(subject)], batch_tokens=BATCH)
    again = evaluate(
        subject, text, [harmless(subject)], folder=tmp_path, batch_tokens=BATCH,
        progress=lambda done, total: told.append(done),
    )  # fmt: skip
    assert again.table.equals(whole.table)
    assert told == [2, 4, 6, 8, 10, 12]


def test_what_was_begun_is_waited_for_as_long_as_there_is_a_machine_and_preparation_never(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without Ray: of three workers one died, one measures and is done at the third look, one prepares for ever."""
    looks: list[str] = []

    def wait(some: list[str], timeout: float) -> tuple[list[str], list[str]]:
        looks.append(some[0])
        if some[0] == "prepares":
            assert timeout == 0, "it may be waiting for a machine that is gone"
            return [], some
        return (some, []) if looks.count(some[0]) > 2 else ([], some)

    errors = types.SimpleNamespace(RayError=RuntimeError)
    ray = types.SimpleNamespace(wait=wait, get=lambda head: f"result of {head}", exceptions=errors)
    pool, task = object.__new__(WorkerPool), Task(0, ("one",))
    died, measures, prepares = (_Member(None) for _ in range(3))
    measures.flight.append(("measures", task))
    prepares.flight.append(("prepares", None))
    pool._ray, pool._members = ray, [died, prepares, measures]
    rooms: list[int] = []
    monkeypatch.setattr(WorkerPool, "_room", lambda self: rooms.append(1) or 1)
    assert list(pool._arrived(died, begun=True)) == [(task, "result of measures")]
    assert len(rooms) == 2
    measures.flight.append(("other", task))
    assert list(pool._arrived(died)) == []  # what is not done by now is not waited for


@pytest.mark.slow
def test_two_workers_give_the_scores_and_readings_of_one_process_in_the_very_same_files(
    kept: RayWorkers, tmp_path: Path
) -> None:
    for kind, measure in KINDS.items():
        told: list[tuple[int, int]] = []
        here, there = tmp_path / f"{kind}, here", tmp_path / f"{kind}, there"
        assert measure(folder=here) == right(kind), kind
        found = measure(
            folder=there, workers=kept, progress=lambda *now, told=told: told.append(now)
        )
        assert found == right(kind), kind
        assert told == [(i + 1, BATCHES) for i in range(BATCHES)], kind
        every = [path for path in here.rglob("*") if path.is_file() and path.name != ".lock"]
        assert len(every) == BATCHES + 1, kind
        for path in every:
            assert (there / path.relative_to(here)).read_bytes() == path.read_bytes(), (kind, path)


def test_a_condition_that_gives_nan_is_the_error_that_it_is_in_one_process(
    kept: RayWorkers, asked: tuple[Subject, Text]
) -> None:
    subject, text = asked
    site = subject.sites("L0.H1")[0]
    bad = Edited("bad", (Edit(site, lambda local: local.value * float("nan")),), "bad")
    said = []
    for settings in ({}, {"workers": kept}):
        with pytest.raises(MeasurementError) as error:
            evaluate(subject, text, [bad], batch_tokens=BATCH, **settings)  # type: ignore[arg-type]
        assert type(error.value) is MeasurementError
        said.append(str(error.value))
    assert said[0] == said[1] == f"An edit of {site}: its value has NaN or infinity in it."


def test_an_evaluation_that_is_broken_off_does_not_stand_in_the_way_of_the_next(
    kept: RayWorkers, asked: tuple[Subject, Text]
) -> None:
    subject, text = asked

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as held:  # and with it the generator
        evaluate(subject, text, [], batch_tokens=BATCH, workers=kept, progress=stop)
    whole = evaluate(subject, text, halves(subject), batch_tokens=BATCH)
    got = evaluate(subject, text, halves(subject), batch_tokens=BATCH, workers=kept)
    del held
    assert got.table.equals(whole.table)


def test_edits_may_hold_the_model_and_code_that_only_this_process_has(
    kept: RayWorkers, asked: tuple[Subject, Text], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, text = asked
    module = types.ModuleType("only_here")
    module.__file__ = "only_here.py"
    code = "class Of:\n    def __init__(s, m): s.m = m\n    def __call__(s, x): return x @ s.m.T"
    exec(compile(code, "only_here.py", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    site = subject.sites("L1.attn")[0]
    fitted = torch.randn(subject.shape.width, 2 * subject.shape.width)[:, ::2]
    of, weight = module.Of(fitted), subject.anatomy.unembed.weight

    def function(local: Local) -> Tensor:
        assert subject.device.type == "cpu"
        return of(local.value) + weight[0]  # type: ignore[no-any-return,index]

    wanted: list[Condition] = [Edited("held", (Edit(site, function),), "held")]
    whole = evaluate(subject, text, wanted, batch_tokens=BATCH)
    assert evaluate(subject, text, wanted, batch_tokens=BATCH, workers=kept).table.equals(
        whole.table
    )


def test_a_worker_that_loads_another_model_is_refused_and_one_that_loads_the_same_is_not(
    kept: RayWorkers, asked: tuple[Subject, Text], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, text = asked
    monkeypatch.setattr(kept, "load", lambda: subject_of("periodic")[0])
    with pytest.raises(MeasurementError, match=f"its model is .* and {subject.fingerprint} was"):
        evaluate(subject, text, [], batch_tokens=BATCH, workers=kept)
    monkeypatch.setattr(kept, "load", lambda: subject_of("half_induction")[0])
    whole = evaluate(subject, text, [], batch_tokens=BATCH)
    got = evaluate(subject, text, [], batch_tokens=BATCH, workers=kept)
    assert got.table.equals(whole.table)


def test_other_workers_of_this_process_are_not_waited_for(
    kept: RayWorkers, asked: tuple[Subject, Text]
) -> None:
    subject, text = asked
    evaluate(subject, text, [], batch_tokens=BATCH, workers=kept)
    with pytest.raises(MeasurementError, match="have all its CPUs"):
        evaluate(subject, text, [], batch_tokens=BATCH, workers=ray_workers(workers=1))


def test_gpus_for_a_model_that_is_on_the_cpu_are_refused(asked: tuple[Subject, Text]) -> None:
    subject, text = asked
    with pytest.raises(MeasurementError, match="the model here is on the cpu"):
        evaluate(subject, text, [], workers=ray_workers(gpus_per_worker=1))


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MeasurementError, match=r"pip install 'unexplained\[cluster\]'"):
        ray_workers()


def test_numbers_below_1_are_refused() -> None:
    for wrong in ({"workers": 0}, {"threads": 0}):
        with pytest.raises(MeasurementError, match="1 or more"):
            ray_workers(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("nowhere", "not of the form host:port"),
        ("ray://127.0.0.1:10001", "not of the form host:port"),
        ("127.0.0.1:{closed}", "nothing answers there"),
        ("127.0.0.1:{open}", "not a Ray cluster"),
    ],
)
def test_an_address_without_a_cluster_is_an_error_within_seconds(
    address: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_session, "SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            ports = {"open": listening.getsockname()[1], "closed": closed.getsockname()[1]}
        start = time.monotonic()
        with pytest.raises(MeasurementError, match=says):
            ray_session._answers(address.format(**ports))
        assert time.monotonic() - start < 10


def test_a_cluster_that_asks_for_a_token_is_told_from_one_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = "ray.exceptions.AuthenticationError: RPC error: InvalidAuthToken: …"
    done = subprocess.CompletedProcess([], 1, stdout="", stderr=said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(MeasurementError, match="asks for a token"):
            ray_session._answers(address)


# --- one model over several devices -----------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    tiny_model("llama").save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return path


@pytest.mark.parametrize("device_map", ["cpu", "auto", {"": "cpu"}])
def test_a_device_map_of_one_device_is_the_model_without_it(
    folder: Path, device_map: str | dict[str, int | str]
) -> None:
    plain, mapped = load(folder, device="cpu"), load(folder, device_map=device_map)
    assert mapped.fingerprint == plain.fingerprint
    batch, edit = Batch.of(tokens()), Edit(plain.sites("L1.H0")[0], lambda local: local.value * 0)
    for direct in ((), [[edit]]):
        here, there = (one.run(batch, [edit], direct=direct) for one in (plain, mapped))
        assert torch.equal(here.normed, there.normed)
        assert torch.equal(plain.logits(here.normed), mapped.logits(there.normed))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"device_map": "auto", "device": "cpu"}, "they say two things"),
        ({"device_map": {"": "disk"}}, "kept elsewhere until they are needed"),
        ({"device_map": {"": f"cuda:{torch.cuda.device_count()}"}}, "cannot be put there"),
        ({"device_map": "nonsense"}, "the device_map right"),
    ],
)
def test_a_device_map_that_cannot_be_followed_is_refused(
    folder: Path, settings: dict[str, object], says: str
) -> None:
    with pytest.raises(SubjectError, match=says):
        load(folder, **settings)  # type: ignore[arg-type]


def test_a_model_in_memory_has_its_place_already() -> None:
    with pytest.raises(SubjectError, match="have their place already"):
        load(tiny_model("llama"), tokenizer=tiny_tokenizer(), device_map="auto")


# --- what travels -----------------------------------------------------------------------------


def same(tensor: Tensor) -> Tensor:
    found = unpack(pack(tensor))
    assert isinstance(found, Tensor)
    assert (found.dtype, found.shape, found.stride()) == (
        tensor.dtype, tensor.shape, tensor.stride(),
    )  # fmt: skip
    assert type(found) is type(tensor)
    assert found.requires_grad == tensor.requires_grad
    assert torch.equal(found, tensor)
    return found


def test_tensors_arrive_with_their_strides_types_and_bits() -> None:
    drawn = torch.randn(4, 6, 5)
    for tensor in (
        drawn,
        drawn.transpose(0, 2)[1:, ::2],
        drawn[2, 3, 4],
        drawn[:0],
        torch.randn(3).expand(1000, 3),
        drawn.bfloat16(),
        drawn > 0,
        torch.arange(7),
        nn.Parameter(drawn, requires_grad=False),
        nn.Parameter(drawn),
        torch.complex(drawn, drawn),
    ):
        same(tensor)
    assert pack(torch.randn(3).expand(1000, 3)).tensors[0].memory.nbytes == 12
    assert pack(torch.randn(1000, 1000)[7]).tensors[0].memory.nbytes == 4000


def test_a_model_arrives_with_its_tied_weights_tied_and_the_same_fingerprint() -> None:
    subject = tiny_subject("gpt2")
    found = unpack(pack(Blueprint.of(subject)))()
    assert found.fingerprint == subject.fingerprint
    model = found.anatomy.model
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_what_both_sides_have_is_named_and_not_sent() -> None:
    here, there = tiny_subject("llama"), tiny_subject("llama")
    held = [here, here.anatomy.layers[1], here.anatomy.unembed.weight, torch.ones(2)]
    shipped = pack(held, parts_of(here))
    assert len(shipped.tensors) == 1
    found = unpack(shipped, parts_of(there))
    assert found[0] is there
    assert found[1] is there.anatomy.layers[1]
    assert found[2] is there.anatomy.unembed.weight


# --- who gets what ----------------------------------------------------------------------------


def tasks(sizes: list[int]) -> list[Task]:
    return [Task(batch, (str(i),)) for batch, size in enumerate(sizes) for i in range(size)]


def test_a_worker_stays_with_its_batch_and_steals_only_when_no_batch_is_free() -> None:
    given_out = TaskQueue(tasks([2, 4]))
    taken: Callable[[str], tuple[int, str]] = lambda who: (  # noqa: E731
        lambda task: (task.batch, task.names[0])
    )(given_out.take(who))  # type: ignore[arg-type]
    assert [taken(who) for who in "abab"] == [(0, "0"), (1, "0"), (0, "1"), (1, "1")]
    assert taken("a") == (1, "3")  # from the end: b goes on from the front
    assert taken("b") == (1, "2")
    assert given_out.take("a") is None


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["done", "dies", "dies waiting"]))),
)
def test_every_task_is_finished_once_whoever_dies(
    sizes: list[int], events: list[tuple[int, str]]
) -> None:
    given_out = TaskQueue(tasks(sizes))
    finished: list[Task] = []
    for worker, what in [*events, *[(0, "done")] * (sum(sizes) + 1)]:
        task = given_out.take(worker)
        if task is None:
            continue
        if what == "done":
            finished.append(task)
        else:
            given_out.gone(worker)
            given_out.put_back(task, last=what == "dies")
    assert sorted(finished, key=repr) == sorted(tasks(sizes), key=repr)


def test_a_task_on_which_a_worker_died_comes_last() -> None:
    given_out = TaskQueue(tasks([2, 1]))
    first = given_out.take("a")
    assert first is not None
    given_out.put_back(first, last=True)
    given_out.gone("a")
    order = [given_out.take("b") for _ in range(4)]
    assert order == [Task(0, ("1",)), Task(1, ("0",)), first, None]
    assert replace(first) == first
