"""One runner: scores and readings are resumed, found again, distrusted and renewed as losses are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, save
from torch import Tensor

from arrays_kept import BATCH, BATCHES, KINDS, RUNNING, right, subject
from kinds import opened
from test_hashing import copied as copied
from test_hashing import forget
from test_kept_units import FILES
from test_kept_units import notes as notes
from tiny import tiny_model
from unexplained.ablations import ABLATIONS, record_for
from unexplained.circuits import attribute_edges, attribute_nodes
from unexplained.errors import MeasurementError
from unexplained.evaluate import activations, evaluate, observe
from unexplained.evaluate.runner import _InOrder
from unexplained.evaluate.store import Store
from unexplained.whole import BLANK

Told = list[tuple[int, int]]


def units(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder in which one kind is finished."""
    made: dict[str, Path] = {}

    def of(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("whole")
            assert KINDS[kind](folder=made[kind]) == right(kind)
        return made[kind]

    return of


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_batch_is_not_measured_twice(kind: str, tmp_path: Path) -> None:
    told: Told = []

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        KINDS[kind](folder=tmp_path, progress=stop)
    assert told == [(1, BATCHES), (2, BATCHES)]
    kept = {path: path.stat().st_mtime_ns for path in units(tmp_path)}
    assert len(kept) == 2
    told.clear()
    progress = lambda *now: told.append(now)  # noqa: E731
    assert KINDS[kind](folder=tmp_path, progress=progress) == right(kind)
    assert told == [(BATCHES, BATCHES)]  # the third alone
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    before = [path.read_bytes() for path in units(tmp_path)]
    assert len(before) == BATCHES
    told.clear()
    assert KINDS[kind](folder=tmp_path, progress=progress) == right(kind)
    assert told == [(BATCHES, BATCHES)]
    assert [path.read_bytes() for path in units(tmp_path)] == before


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import numpy as np, torch
torch.set_num_threads(1)
from safetensors.torch import load_file
from arrays_kept import KINDS, right, subject
subject().fingerprint
def counting(stop):
    calls = [0]
    def count(frame, event, argument):
        if "unexplained" in frame.f_code.co_filename and event in ("call", "return"):
            calls[0] += 1
            if calls[0] == stop:
                os.kill(os.getpid(), signal.SIGKILL)
    return calls, count
root, killed, kept = Path({folder!r}), 0, 0
for number, (kind, measure) in enumerate(KINDS.items()):
    right(kind)
    measure(folder=root / f"warm {{kind}}")  # what is computed once is not counted
    calls, count = counting(-1)
    sys.setprofile(count); measure(folder=root / f"counted {{kind}}"); sys.setprofile(None)
    moments = np.random.default_rng(number).integers(1, calls[0], {times})
    for at, moment in enumerate(moments):
        folder = root / (f"kept {{kind}}" if at % 2 else f"fresh {{kind}} {{at}}")
        child = os.fork()
        if child == 0:
            sys.setprofile(counting(moment)[1])
            measure(folder=folder)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        for path in folder.rglob("[0-9a-f]*.safetensors"):
            kept += bool(load_file(path))  # whole, or not there
        if at % 2 == 0:
            assert measure(folder=folder) == right(kind), (kind, moment)
    assert measure(folder=root / f"kept {{kind}}") == right(kind), kind
assert not [*root.rglob("*.damaged*"), *root.rglob("*.part-*")]
print(f"killed {{killed}} times with {{kept}} units kept")
"""
TIMES = 2


def test_killed_at_random_moments_and_resumed_every_kind_is_the_uninterrupted_one_bit_for_bit(
    tmp_path: Path,
) -> None:
    """At calls and returns drawn from all of the package's own, with SIGKILL."""
    tests = str(Path(__file__).parent)
    code = KILLED.format(tests=tests, folder=str(tmp_path), times=TIMES)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    _, killed, _, _, kept, *_ = done.stdout.split()
    # Half of all start from nothing and must be killed; of the rest some have less to do.
    assert int(killed) >= len(KINDS) * TIMES // 2 and int(kept) > len(KINDS)


# --- damage -----------------------------------------------------------------------------------------


def resealed(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[[Path], None]:
    """By a fault of our own: sealed, and yet not the batch's arrays."""

    def damage(path: Path) -> None:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["unexplained"])
        store = Store(path.parent, about["circumstances"])
        text = json.dumps(about | {"seal": BLANK.decode()})
        store.write(path.name, save(change(load(path.read_bytes())), {"unexplained": text}))

    return damage


def first(change: Callable[[Tensor], Tensor]) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    def of(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
        name = sorted(arrays)[0]
        return arrays | {name: change(arrays[name]).contiguous()}

    return of


def of_another_batch(path: Path) -> None:
    """Sealed, whole, and of other rows."""
    shutil.copy(next(other for other in units(path.parent) if other != path), path)


DAMAGE: dict[str, Callable[[Path], None]] = {
    **{name: damage for name, damage in FILES.items() if ":" not in name},
    "another batch's": of_another_batch,
    "resealed: other arrays": resealed(lambda arrays: {f"{n}x": a for n, a in arrays.items()}),
    "resealed: one more": resealed(lambda arrays: arrays | {"more": torch.zeros(1)}),
    "resealed: one is missing": resealed(lambda arrays: dict(list(sorted(arrays.items()))[1:])),
    "resealed: rows are missing": resealed(first(lambda array: array[:-1])),
    "resealed: NaN": resealed(first(lambda array: array * float("nan"))),
    "resealed: infinite": resealed(first(lambda array: array + float("inf"))),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", ["edges", "readings", "heads"])
def test_a_damaged_batch_is_named_set_aside_and_measured_again(
    kind: str,
    damage: str,
    whole: Callable[[str], Path],
    tmp_path: Path,
    notes: Callable[[], list[str]],
) -> None:
    folder, told = tmp_path / "kept", Told()
    shutil.copytree(whole(kind), folder)
    DAMAGE[damage](units(folder)[0])
    assert KINDS[kind](folder=folder) == right(kind)
    (note,) = notes()
    assert "is damaged" in note and "measured again" in note
    assert len(list(folder.rglob("*.damaged"))) == 1
    assert KINDS[kind](folder=folder, progress=lambda *now: told.append(now)) == right(kind)
    assert len(told) == len(notes()) == 1


def test_of_60_bits_that_flip_in_scores_none_goes_unnoticed(
    whole: Callable[[str], Path], tmp_path: Path, notes: Callable[[], list[str]]
) -> None:
    folder = tmp_path / "kept"
    shutil.copytree(whole("edges"), folder)
    path = units(folder)[1]
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for number in range(60):
        data = bytearray(content)
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        assert KINDS["edges"](folder=folder) == right("edges")
        assert len(notes()) == number + 1
        assert path.read_bytes() == content


# --- what it is kept under --------------------------------------------------------------------------

EDITS = {
    "circuits/nodes.py": {"nodes", "nodes of pairs"},
    "circuits/edges.py": {"edges"},
    "circuits/edge_passes.py": {"edges"},
    "circuits/measures.py": {"nodes", "nodes of pairs", "edges"},
    "circuits/magnitude.py": {"sizes"},
    "explanations/attending.py": {"heads"},
    "ablations/zero.py": {"nodes"},
    "ablations/patch.py": {"nodes of pairs"},
    "subject/gradients.py": {
        "nodes",
        "nodes of pairs",
        "edges",
        "sizes",
    },  # `paths` names its tapes
    "evaluate/arrays.py": {*KINDS, "losses"},
    "subject/run.py": {*KINDS, "losses"},
    "circuits/orders.py": set(),
    "circuits/mib.py": set(),
    "study/heads.py": set(),
    "study/circuits.py": set(),
    "evaluate/cluster.py": set(),
    "bars/kept.py": set(),
    "instruments/circuit.py": set(),
}
"""What an edit of a file voids; everything else stays as it was measured."""


def losses(**how: object) -> bytes:
    return (
        evaluate(subject(), RUNNING, [], batch_tokens=BATCH, **how)
        .table.to_pydict()
        .__repr__()
        .encode()
    )  # type: ignore[arg-type]


def test_an_edit_voids_what_ran_it_and_keeps_all_else_that_was_measured(
    copied: Path, tmp_path: Path
) -> None:
    forget()
    folder, every = tmp_path / "kept", KINDS | {"losses": losses}

    def measured_again() -> set[str]:
        """Of a copy of what is kept, the kinds that are not simply found there."""
        forget()
        again, into = set(), tmp_path / "again"
        shutil.copytree(folder, into)
        for kind, measure in every.items():
            # What is found is told of once, what is measured batch by batch.
            told: Told = []
            measure(folder=into, progress=lambda *now, told=told: told.append(now))
            again |= {kind} if len(told) > 1 else set()
        shutil.rmtree(into)
        return again

    for measure in every.values():
        measure(folder=folder)
    assert not measured_again()
    # Those that void nothing are edited together.
    nothing = [file for file, voids in EDITS.items() if not voids]
    for files in [[file] for file, voids in EDITS.items() if voids] + [nothing]:
        before = {file: (copied / file).read_text(encoding="utf-8") for file in files}
        for file, source in before.items():
            (copied / file).write_text(source + "\nNOTHING = 1\n", encoding="utf-8")
        assert measured_again() == EDITS[files[0]], files
        for file, source in before.items():
            (copied / file).write_text(source, encoding="utf-8")
    assert not measured_again()


def test_other_methods_sites_models_and_texts_are_other_units(tmp_path: Path) -> None:
    """Else one would be taken for the other."""
    from arrays_kept import PAIRED, fills

    def asked() -> Iterator[Callable[[], object]]:
        one, other = subject(), opened(tiny_model("llama", seed=1))
        how = {"batch_tokens": BATCH, "folder": tmp_path}
        zero, mean = (fills(RUNNING, *[name] * 3) for name in ("zero", "mean"))
        yield lambda: attribute_nodes(one, RUNNING, zero, **how)  # type: ignore[arg-type]
        yield lambda: attribute_nodes(one, RUNNING, mean, **how)  # type: ignore[arg-type]
        yield lambda: attribute_nodes(one, RUNNING, zero, method="atp*", **how)  # type: ignore[arg-type]
        yield lambda: attribute_nodes(one, RUNNING, zero, part="fit", **how)  # type: ignore[arg-type]
        yield lambda: attribute_nodes(one, PAIRED, zero, **how)  # type: ignore[arg-type]
        yield lambda: attribute_nodes(one, PAIRED, zero, measure="loss", **how)  # type: ignore[arg-type]
        yield lambda: attribute_nodes(other, RUNNING, zero, **how)  # type: ignore[arg-type]
        for method, steps in (("eap", 2), ("eap-ig-inputs", 2), ("eap-ig-inputs", 3)):
            yield lambda m=method, s=steps: attribute_edges(
                one, PAIRED, method=m, steps=s, folder=tmp_path
            )  # type: ignore[misc]
        for sites in ("L0.H0.z", "L0.H1.z", "L0.H0.z L0.H1.z"):
            yield lambda s=sites: observe(one, RUNNING, one.sites(s), folder=tmp_path)  # type: ignore[misc]

    before = 0
    for measure in asked():
        measure()
        now = len(units(tmp_path))
        assert now > before
        before = now
    # The steps of an average do not enter where nothing is averaged.
    attribute_edges(subject(), PAIRED, method="eap", steps=7, folder=tmp_path)
    assert len(units(tmp_path)) == before


def test_fills_of_another_model_are_refused() -> None:
    other = opened(tiny_model("llama", seed=1))
    sites = other.sites("L0.H1")
    kind = ABLATIONS.get("mean")
    fill = kind.fit(record_for(kind, other, RUNNING, sites), sites, 0)
    with pytest.raises(MeasurementError, match="fitted to another model"):
        attribute_nodes(subject(), RUNNING, {sites[0]: fill})


def test_readings_beyond_the_room_on_the_disk_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activations, "ON_DISK", len(right("readings")) // 2)
    told: Told = []
    for _ in range(2):
        assert KINDS["readings"](folder=tmp_path, progress=lambda *now: told.append(now)) == right(
            "readings"
        )
        assert 0 < len(units(tmp_path)) < BATCHES
    assert told[:BATCHES] == [(i + 1, BATCHES) for i in range(BATCHES)]
    assert told[BATCHES:] == [(i + 1, BATCHES) for i in range(len(units(tmp_path)), BATCHES)]


def test_scores_that_are_not_finite_are_an_error_and_are_not_kept(tmp_path: Path) -> None:
    model = tiny_model("llama")
    broken = opened(model)
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight[0, 0] = float("inf")
    from arrays_kept import PAIRED

    with pytest.raises(MeasurementError, match="NaN or infinity"):
        attribute_edges(broken, PAIRED, folder=tmp_path)
    assert not units(tmp_path)


def test_results_are_taken_in_the_order_of_batches_as_soon_as_they_can_be() -> None:
    taken: list[tuple[int, str]] = []
    order: _InOrder[str] = _InOrder(lambda number, result: taken.append((number, result)))
    order.begin(["a"], 0)
    assert taken == [(0, "a")]
    order.begin(["b"], 2)
    order.begin([], 1)
    order.begin(["d"], 0)
    order.add(2, "c")
    order.add(1, "b2")
    assert taken == [(0, "a")]
    order.add(1, "b3")
    assert taken == [(0, "a"), (1, "b"), (1, "b2"), (1, "b3"), (2, "c"), (3, "d")]


def test_processes_that_are_gone_leave_no_half_written_scores(
    whole: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    shutil.copytree(whole("edges"), folder)
    gone = units(folder)[0].with_name(f".{units(folder)[0].name}.part-elsewhere-1")
    gone.write_bytes(b"half")
    KINDS["edges"](folder=folder)
    assert not os.path.lexists(gone)
