"""What a measurement would take is told from passes and bytes that are counted, not from a clock."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from typer.testing import CliRunner

import unexplained as ux
from arrays_kept import KINDS
from measured import NAMES, called, folder, model, record_of, words
from unexplained.ablations import ABLATIONS
from unexplained.cli.app import app
from unexplained.errors import MeasurementError
from unexplained.evaluate import Edited, Intact, evaluate, imagining, rehearsal
from unexplained.evaluate.evaluate import BATCH_TOKENS, in_process
from unexplained.evaluate.job import GROUP, MEMORY, Job
from unexplained.evaluate.rehearsal import Foretelling, Rehearsal, rates_of
from unexplained.evaluate.work import Task, Work, layer_cost, layers_cost
from unexplained.repairs.refit import Refit
from unexplained.repairs.schedule import RefitSettings
from unexplained.study import INSTRUMENTS, Instrument
from unexplained.study.forecast import Forecast
from unexplained.study.instrument import _foretell
from unexplained.subject import subject as engine
from unexplained.telling import ProgressBars


@pytest.fixture
def subject() -> ux.Subject:
    return model()


@pytest.fixture
def text() -> ux.Text:
    return words()


def job_of(subject: ux.Subject, text: ux.Text) -> Job:
    """Every head ablated alone."""
    zero = ABLATIONS.get("zero")
    edited = [zero.fit(None, [s], 0).condition(str(s)) for s in subject.sites("L*.H*")]  # type: ignore[arg-type]
    return Job(
        subject=subject, text=text, part="eval", conditions=(Intact(), *edited), measure="all",
        batch_tokens=BATCH_TOKENS, keep_tokens=frozenset(), memory=MEMORY,
    )  # fmt: skip


def text_for(subject: ux.Subject, name: str) -> ux.Text:
    """One that runs side by side, and one that does not."""
    if name == "agreement":
        return ux.pairs(name, subject, pairs=16, fit_pairs=4)
    return ux.text(name, subject, documents=16, fit_documents=4, block=64)


@pytest.mark.parametrize("name", ["pydocs", "agreement"])
def test_the_passes_that_are_foreseen_are_those_that_are_run(
    name: str, subject: ux.Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagining, "unembedding_cost", lambda shape: 0.0)
    monkeypatch.setitem(GROUP, "cpu", 3)  # several tasks of one batch, with one intact pass
    job, ran, run = job_of(subject, text_for(subject, name)), [0], engine.run
    layers = subject.shape.layers

    def counted(anatomy: Any, batch: Any, edits: Any = (), **how: Any) -> Any:
        starts = [copy.resume.layer for copy in how.get("copies") or ()]
        starts = starts or [how["resume"].layer if how.get("resume") else 0]
        ran[0] += batch.tokens.numel() * sum(layers - start for start in starts)
        return run(anatomy, batch, edits, **how)

    monkeypatch.setattr(engine, "run", counted)
    tasks = [task for number in range(len(job.plans)) for task in job.tasks(number, ())]
    for task in tasks:
        job.do(task)
    assert sum(job.amounts(tasks).values()) == ran[0] * layer_cost(subject.shape)


@pytest.mark.parametrize("name", ["pydocs", "agreement"])
def test_the_bytes_that_are_foreseen_are_those_that_torch_holds_within_a_factor_of_two(
    name: str, subject: ux.Subject
) -> None:
    job = job_of(subject, text_for(subject, name))
    tasks = job.tasks(0, ())
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        for task in tasks:
            job.do(task)
    results = seen.profiler.kineto_results.events()  # type: ignore[union-attr]
    events = sorted((e.start_ns(), e.nbytes()) for e in results if e.name() == "[memory]")
    held = most = 0
    for _, size in events:
        held += size
        most = max(most, held)
    assert most / 2 < job.held(tasks) < 2 * most


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_imagined_has_the_shapes_of_what_is_measured(kind: str) -> None:
    compared: list[str] = []

    def both(work: Work[Any], tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        for task, found in in_process(work, tasks):
            made_up: Mapping[str, torch.Tensor] = work.imagined(task)
            assert made_up.keys() == found.keys()
            for name, array in found.items():
                assert made_up[name].shape == array.shape, name
                if array.is_floating_point():  # it may be put into the model
                    assert made_up[name].dtype == array.dtype, name
                assert not work.fault(task.batch, made_up)  # type: ignore[attr-defined]
                compared.append(name)
            yield task, found

    KINDS[kind](workers=both)
    assert compared


def test_imagined_losses_are_of_the_same_rows_and_no_condition_gains(
    subject: ux.Subject, text: ux.Text
) -> None:
    for on in (text, text_for(subject, "agreement")):
        conditions = job_of(subject, on).conditions[1:4]
        measured = evaluate(subject, on, conditions)
        imagined = evaluate(subject, on, conditions, workers=Rehearsal(in_process))
        keys = ["condition", "document", "partition", "label", "tokens"]
        assert measured.table.select(keys) == imagined.table.select(keys)
        for column in ("loss", "logit_difference", "error"):
            one, two = (found.table[column].null_count for found in (measured, imagined))
            assert one == two
        sums = [imagined.sums(name).loss for name in ("intact", conditions[0].name)]
        assert (sums[1] > sums[0]).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_instrument_foresees_what_it_runs_and_keeps_nothing_of_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Rehearsal, "_timed", lambda self, work, tasks: dict.fromkeys(work.amounts(tasks), 1e-12)
    )
    one = INSTRUMENTS.get(name)
    record_of(name)
    measured = called(one, do=one.dry_run, folder=folder())
    assert all(stage.kept == stage.total for stage in measured.stages)
    more = {"graph": tmp_path / "graph.json"} if name == "circuit" else {}
    foreseen = called(
        one, do=one.dry_run, folder=tmp_path, settings=ux.Settings(resamples=500), **more
    )
    assert not list(tmp_path.iterdir())
    assert not any(stage.kept for stage in foreseen.stages)
    mine, real = (
        sum(stage.conditions * stage.tokens for stage in found.stages)
        for found in (foreseen, measured)
    )
    assert real / 2 < mine < 2 * real
    assert foreseen.seconds > 0 and foreseen.bytes > 1e8
    assert all(len(line) <= 100 for line in str(foreseen).splitlines())
    assert len(str(foreseen).splitlines()) < 30


def test_what_is_kept_is_not_foreseen_again(
    subject: ux.Subject, text: ux.Text, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"folder": tmp_path, "twin": False}
    before = ux.sweep.dry_run(subject, "L0.H*", text, **how)
    assert not any(stage.kept for stage in before.stages)
    ux.sweep(subject, "L0.H*", text, **how)
    after = ux.sweep.dry_run(subject, "L0.H*", text, **how)
    assert all(stage.kept == stage.total and not stage.seconds for stage in after.stages)
    assert ", all kept" in str(after) and after.sentence.startswith("Expected: about ")


def test_a_step_costs_what_it_takes_beyond_what_was_done_before() -> None:
    """By a clock of its own: 1 for the pass, 2 for scoring it, 4 for each condition."""

    class Piece(Work[int]):
        def amounts(self, tasks: Sequence[Task]) -> dict[str, float]:
            edited = sum(task.names == ("edited",) for task in tasks)
            return {"intact": 1.0 + 2.0 * len(tasks)} | ({"edited": 8.0} if edited else {})

        def do(self, task: Task) -> int:
            first = not self._worker
            self._worker.append(1)
            now[0] += (1 if first else 0) + 2 + (4 if task.names == ("edited",) else 0)
            return 0

    now = [0.0]
    Piece.__abstractmethods__ = frozenset()
    work = Piece(subject=ux.load("rung-1", device="cpu"), text=None, part="eval", batch_tokens=1)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rehearsal.time, "perf_counter", lambda: now[0])
        rates = rates_of(work, [Task(0, ("intact",)), Task(0, ("edited",))])
    assert rates == {"intact": 1.0, "edited": 0.5}


def test_changes_of_low_rank_are_foreseen_in_the_models_own_kind_of_number(
    subject: ux.Subject, text: ux.Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a large model: what was imagined was float64, and no time could be told (RuntimeError)."""
    monkeypatch.setattr(import_module("unexplained.repairs.schedule"), "SMALL", 0)
    kinds = set()

    def watched(self: Refit, task: Task) -> Mapping[str, torch.Tensor]:
        made_up = imagined(self, task)
        kinds.update(found.dtype for name, found in made_up.items() if "." in name)
        return made_up

    imagined = Refit.imagined
    monkeypatch.setattr(Refit, "imagined", watched)
    found = ux.shortfall.dry_run(subject, "L0.H0", text, steps=8, folder=None)
    assert found.seconds > 0 and kinds == {torch.float32}
    measured = [stage for stage in found.stages if "refitted" in stage.what]
    # Seeds are conditions of their own, as they will be: none is the same as another.
    assert any(stage.conditions > 9 for stage in measured)


def test_of_a_refits_seeds_the_first_alone_pays_for_the_passes_and_a_step_is_what_is_timed(
    subject: ux.Subject, text: ux.Text
) -> None:
    """What was timed began anew from the whole text: 4 hours were foretold of 49 minutes."""
    work = Refit(subject=subject, text=text, part="fit", batch_tokens=64, seeds=(0, 1), first=1,
                 conditions=(Edited("intact model", (), "nothing"),), how=RefitSettings(8))  # fmt: skip
    tasks = [Task(number, work.names) for number in (0, 1)]
    (one,), (two,) = (work.amounts(some).values() for some in (tasks[:1], tasks))
    tokens = sum(math.prod(batch.size) for part in work.split for batch in part)
    assert two == pytest.approx(2 * one - tokens * layers_cost(subject.shape))
    piece, some = work.tried(tasks)
    assert [len(part) for part in piece.split] == [1, 1] and len(work.split[0]) > 1
    assert piece._begin is work._begin and piece.how.steps == 1 and len(some) == 1


def test_before_a_long_run_time_and_memory_are_said_once_and_a_failure_stops_nothing(
    subject: ux.Subject, text: ux.Text, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(rehearsal, "LONG", 0)
    monkeypatch.setattr(import_module("unexplained.study.instrument"), "LONG", 0)
    with ProgressBars() as bars:
        ux.sweep(subject, "L0.H*", text, folder=None, twin=False, say=bars)
    assert capsys.readouterr().err.count("Expected: about ") == 1

    def refuse(self: Any, run: Any, given: Any) -> Forecast:
        raise MeasurementError("A forecast", "it cannot be made")

    monkeypatch.setattr(Instrument, "_foretold", refuse)
    with ProgressBars() as bars:
        ux.sweep(subject, "L0.H*", text, folder=None, twin=False, say=bars)
    assert "Expected" not in capsys.readouterr().err


def test_what_is_short_is_not_rehearsed(subject: ux.Subject, text: ux.Text) -> None:
    told: list[str] = []
    workers = Foretelling(in_process, lambda: told.append("told"))
    evaluate(subject, text, [], workers=workers)
    assert not told


def test_a_dry_run_of_a_command_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["sweep", "rung-2", "L0.H0", "--text", "pydocs", "--documents", "10"]
    words += ["--fit-documents", "4", "--block", "32", "--no-twin", "--run", "mine", "--dry-run"]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0 and not list(tmp_path.iterdir())
    assert "What would be measured:" in said.stdout and "Expected: about " in said.stdout
    found = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert found["seconds"] > 0 and {stage["text"] for stage in found["stages"]} == {"pydocs"}


def test_a_forecast_that_fails_says_so_and_costs_nothing() -> None:
    """What nobody expected in it, and what the run itself will refuse."""
    said: list[str] = []

    def broken() -> Forecast:
        raise KeyError("oops")

    def refused() -> Forecast:
        raise MeasurementError("It", "cannot be")

    _foretell(broken, said.append)
    _foretell(refused, said.append)
    assert said == ["What it takes could not be foretold (KeyError)."]


def test_heads_and_behaviours_are_foreseen_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["heads", "rung-1", "--documents", "2", "--block", "32", "--ablate", "1", "--dry-run"]
    said = CliRunner().invoke(app, words).stdout
    assert "scoring every head on repeats" in said and "ablating each head alone" in said
    assert "Expected: about " in said and "Share of attention" not in said
    assert not list(tmp_path.iterdir())
    with pytest.raises(MeasurementError, match="nothing is measured where no model is named"):
        CliRunner().invoke(app, ["behaviours", "--dry-run"], catch_exceptions=False)


def test_the_computes_of_a_family_are_said_before_anything_is_measured() -> None:
    assay = INSTRUMENTS.get("assay")
    assert assay.notes({"family": ["rung-1=1e12", "rung-2=3e13"]}) == [
        "Family: 2 models, from 1.0 × 10¹² to 3.0 × 10¹³ FLOPs. No curve: 2 training computes are known "
        "in this family, and a curve takes 3."
    ]
    assert assay.notes({"family": None}) == []
