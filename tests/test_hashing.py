"""What is kept is kept under the code that measured it: all of that, and not the whole package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pytest

import unexplained as ux
from measured import NAMES, called
from test_assay import make_text, subject_of
from test_family import MERGES, WORDS, uniform
from test_ladder import pydocs_like
from unexplained import Member, hashing
from unexplained.ablations import ABLATIONS, record_for
from unexplained.circuits import attribute_edges, attribute_nodes
from unexplained.evaluate import evaluate
from unexplained.evaluate.arrays import ArrayWork
from unexplained.evaluate.conditions import Condition, Intact, key, modules_of
from unexplained.evaluate.job import Job
from unexplained.evaluate.store import ENGINE
from unexplained.evaluate.work import Task, Work
from unexplained.explanations.carried import counted
from unexplained.explanations.fit import InPlace
from unexplained.hashing import code_digest, code_of, digest, file_of, home_of
from unexplained.study import INSTRUMENTS
from unexplained.study.tasks import TaskText
from unexplained.testbeds import prompts
from unexplained.testbeds.prompts import pairs_text
from unexplained.testbeds.texts import repeated
from unexplained.text import counted as counted_file
from unexplained.text.corpora import webmix
from unexplained.text.counts import count
from unexplained.text.document import deduplicate, document
from unexplained.text.duplicates import near_duplicates

PACKAGE = Path(hashing.__file__).parent
SETTINGS = ux.Settings(resamples=60)


def test_the_engines_code_is_all_that_its_import_loads_of_this_package() -> None:
    """Second route: import it in a fresh process, and see."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {ENGINE}; print(' '.join(sys.modules))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    face = {"unexplained.lazy", "unexplained.stops"}  # of the package, whatever is imported
    there = {name for name in done.stdout.split() if name.startswith("unexplained.")} - face
    assert there and there <= code_of([ENGINE])


@pytest.mark.parametrize("room", ["report", "cli", "instruments", "study", "bars", "stats", "record", "circuits",
                                  "explanations", "ablations", "ladder", "curves", "testbeds"])  # fmt: skip
def test_the_engines_code_is_not_what_reads_its_ledgers_or_makes_its_conditions(room: str) -> None:
    inside = {name for name in code_of([ENGINE]) if name.split(".")[1] == room}
    assert not inside
    assert (PACKAGE / room).exists() or (PACKAGE / f"{room}.py").exists()


Traced = list[tuple[Task, Work[Any], set[str]]]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traced]:
    """Every unit that is measured, of any kind, with the files of this package that ran meanwhile."""
    found: Traced = []

    def tracing(measure: Callable[[Any, Task], Any]) -> Callable[[Any, Task], Any]:
        def do(self: Any, task: Task) -> Any:
            files: set[str] = set()

            def seen(frame: Any, event: str, argument: object) -> None:
                if event == "call":
                    files.add(frame.f_code.co_filename)

            sys.setprofile(seen)
            try:
                return measure(self, task)
            finally:
                sys.setprofile(None)
                found.append((task, self, files))

        return do

    for kind in (Job, ArrayWork):
        monkeypatch.setattr(kind, "do", tracing(kind.do))
    yield found


def files_of_claims(condition: Condition) -> set[str]:
    """Where the functions are, and their helpers, of the explanations that stand in a condition."""
    standing = [edit.standing for edit in getattr(condition, "edits", ())]
    claims = [one.explanation for one in standing if isinstance(one, InPlace)]
    codes = [code for claim in claims for code in counted(claim).written if type(code) is CodeType]
    return {code.co_filename for code in codes}


def require_inside(traced: Traced) -> set[str]:
    """Every file that ran is in the digest of the unit; gives all that ran."""
    everything: set[str] = set()
    assert traced
    for task, work, files in traced:
        some = work.conditions
        if isinstance(work, Job):
            some = tuple(c for c in some if c.name in task.names)
        modules = {name for one in some for name in modules_of(one)}
        known = {str(file_of(name)) for name in code_of([work.engine, *modules])}
        # What a claim says is in its fingerprint, helpers and all (`explanations.carried`).
        known |= {file for one in some for file in files_of_claims(one)}
        ran = {file for file in files if file.startswith(str(PACKAGE))}
        assert ran <= known, (type(work), sorted(ran - known))
        everything |= ran
    return {str(Path(file).relative_to(PACKAGE)) for file in everything}


def kinds_of(traced: Traced) -> set[str]:
    """The modules by which units were measured."""
    return {work.engine.removeprefix("unexplained.") for _, work, _ in traced}


def copies(name: str = "strict_induction", documents: int = 12) -> tuple[ux.Subject, ux.Text]:
    subject, _ = subject_of(name)
    tokens = repeated(np.random.default_rng(5), documents, 12)
    return subject, make_text("copies", subject, tokens, tokens, second_copy=13)


def test_an_assays_code_is_inside(traced: Traced) -> None:
    subject, text = copies()
    ux.assay(subject, "L1.H0", text, settings=SETTINGS, singles=0)
    ran = require_inside(traced)
    assert {"subject/run.py", "evaluate/score.py", "explanations/fit.py", "ablations/mean.py",
            "text/ngrams.py", "explanations/library/strict_induction.py"} <= ran  # fmt: skip


@pytest.mark.parametrize("ablation", ["zero", "mean", "position mean", "resample"])
def test_a_sweeps_code_is_inside(traced: Traced, ablation: str) -> None:
    subject, text = copies()
    ux.sweep(subject, "L*.H*", text, ablation=ablation, settings=SETTINGS)
    assert f"ablations/{ablation.replace(' ', '_')}.py" in require_inside(traced)


def test_a_patching_sweeps_and_a_circuits_code_is_inside(
    traced: Traced,
) -> None:
    subject, _ = subject_of("soft_induction")
    text = pairs_text("slots", prompts.other_slot, orbits=10, fit_orbits=8)
    ux.sweep(subject, "L*.H*", text, ablation="patch", measure="logit difference",
             settings=SETTINGS)  # fmt: skip
    ux.circuit(subject, text, methods=("eap",), sizes=(0.1, 1.0), draws=1, settings=SETTINGS)
    assert {"ablations/patch.py", "circuits/running.py", "circuits/edges.py", "circuits/paths.py",
            "circuits/magnitude.py", "subject/gradients.py"} <= require_inside(traced)  # fmt: skip
    assert kinds_of(traced) == {
        "evaluate.job", "evaluate.activations", "circuits.edges", "circuits.magnitude",
    }  # fmt: skip


def test_a_rewritings_and_a_programs_code_is_inside(
    traced: Traced,
) -> None:
    @ux.explanation(gives="logits", reads=["tokens"])
    def silent(view: Any) -> Any:
        """Every token alike."""
        return view.blank

    subject, text = copies()
    ux.rewrite(subject, text, programs=[silent], settings=SETTINGS, draws=1)
    assert "explanations/program.py" in require_inside(traced)


def test_a_sweeps_code_with_attribution_as_a_control_variate_is_inside(traced: Traced) -> None:
    subject, text = copies(documents=40)
    ux.sweep(subject, "L*.H*", text, method="control variates", settings=SETTINGS)
    assert {"circuits/nodes.py", "circuits/measures.py"} <= require_inside(traced)
    assert kinds_of(traced) == {"evaluate.job", "evaluate.activations", "circuits.nodes"}


@pytest.mark.parametrize("method", ["eap", "eap-ig-inputs", "eap-ig-activations"])
def test_an_edge_attributions_code_is_inside(traced: Traced, method: Any) -> None:
    subject, _ = subject_of("soft_induction")
    text = pairs_text("slots", prompts.other_slot, orbits=10, fit_orbits=8)
    attribute_edges(subject, text, method=method, steps=2)
    assert {"circuits/edge_passes.py", "circuits/graph.py"} <= require_inside(traced)


@pytest.mark.parametrize("ablation", ["zero", "mean", "position mean", "resample", "patch"])
@pytest.mark.parametrize("method", ["atp", "atp*"])
def test_a_node_attributions_code_is_inside(traced: Traced, ablation: str, method: Any) -> None:
    if ablation == "patch":
        subject, _ = subject_of("soft_induction")
        text = pairs_text("slots", prompts.other_slot, orbits=10, fit_orbits=8)
    else:
        subject, text = copies()
    kind, sites = ABLATIONS.get(ablation), subject.sites("L*.H* L0.mlp")
    fill = kind.fit(record_for(kind, subject, text, sites), sites, 0)
    attribute_nodes(subject, text, dict.fromkeys(sites, fill), method=method)
    assert f"ablations/{ablation.replace(' ', '_')}.py" in require_inside(traced)


def test_the_scores_of_heads_and_their_gains_are_inside(traced: Traced) -> None:
    subject, text = copies()
    scores = ux.head_scores(subject, text, twin=subject.twin(0))
    ux.with_gains(subject, text, scores, 2, settings=SETTINGS)
    assert "explanations/patterns.py" in require_inside(traced)
    assert kinds_of(traced) == {
        "evaluate.job", "evaluate.activations", "explanations.attending",
    }  # fmt: skip


def test_the_code_of_sizes_is_inside(traced: Traced) -> None:
    subject, text = copies()
    models = {subject: 1.0, subject.twin(1): 2.0, subject.twin(2): 4.0}
    ux.sizes(models, text, explanations=[ux.LIBRARY.get("strict_induction")], settings=SETTINGS)
    assert {"explanations/fit.py", "ablations/mean.py"} <= require_inside(traced)
    assert {work.subject.name for _, work, _ in traced} == {one.name for one in models}


def test_the_code_of_tasks_is_inside(traced: Traced) -> None:
    subject, text = copies()
    weaker = [Member("twin", partial(subject.twin, 1))]
    asked = [TaskText("copies", text)]
    ux.tasks(subject, text, asked=asked, sites="L1.H0", family=weaker, settings=SETTINGS)
    assert {"evaluate/conditions.py", "explanations/fit.py"} <= require_inside(traced)


def test_the_code_of_a_gap_with_claims_is_inside(traced: Traced) -> None:
    names = ("rung-2", "rung-1", "rung-2-seed-1", "rung-1-seed-1")
    strong, weak, *second = (ux.load(name, device="cpu") for name in names)
    text = pydocs_like(strong)
    text = replace(text, eval=text.eval[:12], fit=text.eval[:12])
    ux.gap(strong, weak, text, sites="L1.H0", chosen_by=tuple(second), settings=SETTINGS)
    ran = require_inside(traced)
    assert {"explanations/library/strict_induction.py", "evaluate/activations.py"} <= ran


def test_the_code_of_a_family_is_inside(
    traced: Traced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNEXPLAINED_CACHE", str(tmp_path / "cache"))
    rng, place = np.random.default_rng(0), tmp_path / "prose.txt"
    passages = [" ".join(rng.choice(WORDS.split(), 60)) + "\n" + "x" * 1900 for _ in range(80)]
    place.write_text("\n\n".join(passages), "utf-8")
    members = [
        ux.Member(
            f"{count} merges", partial(uniform, f"{count} merges", MERGES[:count]), 10.0**count
        )
        for count in (0, 3, 7)
    ]
    ux.family(members, source=str(place), documents=8, characters=200, settings=SETTINGS)
    require_inside(traced)
    assert {work.subject.name for _, work, _ in traced} == {one.name for one in members}


ABOVE = {"assay", "circuit", "family", "gap", "rewrite", "sizes", "sweep", "tasks"}
"""Traced by tests of their own, with more of their options."""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ABOVE])
def test_every_instruments_code_is_inside(traced: Traced, name: str) -> None:
    called(INSTRUMENTS.get(name))
    assert {"evaluate/arrays.py", "subject/run.py"} <= require_inside(traced)


MODULES = (ENGINE, "unexplained.ablations.mean", "unexplained.explanations.fit")


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package, whose code is digested in its place."""
    copy = tmp_path / "unexplained"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("models", "__pycache__"))
    monkeypatch.setattr(hashing, "_FOLDER", copy)
    yield copy
    forget()


def forget() -> None:
    for kept in (hashing.code_digest, hashing.own_digest, hashing._source, hashing._doing):
        kept.cache_clear()


def digests() -> list[str]:
    forget()
    return [code_digest(module) for module in MODULES]


KEEPING = {
    "bars/effects.py": ("RATE = 0.05", "RATE = 0.01"),
    "ablations/zero.py": ("def ", "NOTHING = 1\n\n\ndef "),
    "evaluate/score.py": ('"""', '"""Other words. '),
    "subject/run.py": ("from __future__", "# a remark\nfrom __future__"),
    "evaluate/runner.py": ("it was fitted to another model", "it is of another model"),
}
CHANGING = {
    "evaluate/score.py": ("\nimport", "\nNOTHING = 1\nimport", "111"),
    "subject/attention.py": ('"q": 1', '"q": 7', "111"),
    "ablations/mean.py": ("mean(0)", "median(0)", "010"),
    "explanations/fit.py": ("parameters = 0", "parameters = 1", "001"),
}


def test_an_edit_voids_what_ran_it_and_keeps_everything_else(copied: Path) -> None:
    now = digests()
    edits = [(file, *edit, "000") for file, edit in KEEPING.items()]
    edits += [(file, *edit) for file, edit in CHANGING.items()]
    for file, right, wrong, voids in edits:
        source = (copied / file).read_text(encoding="utf-8")
        assert right in source, file
        (copied / file).write_text(source.replace(right, wrong, 1), encoding="utf-8")
        found = "".join("01"[a != b] for a, b in zip(digests(), now, strict=True))
        (copied / file).write_text(source, encoding="utf-8")
        assert found == voids, file
    assert digests() == now


def test_an_edit_of_one_ablation_voids_its_measurements_alone(copied: Path) -> None:
    subject, text = copies()
    sites = subject.sites("L1.H0")
    conditions: list[Condition] = [Intact()]
    for name in ("zero", "mean"):
        kind = ABLATIONS.get(name)
        fill = kind.fit(record_for(kind, subject, text, sites), sites, 0)
        conditions.append(fill.condition())
    forget()
    before = [key(one) for one in conditions]
    source = (copied / "ablations/zero.py").read_text(encoding="utf-8")
    (copied / "ablations/zero.py").write_text(source + "\nNOTHING = 1\n", encoding="utf-8")
    forget()
    assert [a == b for a, b in zip(before, map(key, conditions), strict=True)] == [
        True,
        False,
        True,
    ]


def test_where_something_that_is_called_is_at_home() -> None:
    assert home_of(digest) == "unexplained.hashing"
    assert home_of(partial(partial(digest, "a"), "b")) == "unexplained.hashing"
    assert home_of(ux.Settings) == home_of(ux.Settings()) == "unexplained.settings"
    assert home_of(copies()[0].run) == "unexplained.subject.subject"


def ran(function: Callable[[], object]) -> set[str]:
    """The modules of this package that a call runs."""
    files: set[str] = set()
    sys.setprofile(lambda frame, event, argument: files.add(frame.f_code.co_filename))
    try:
        function()
    finally:
        sys.setprofile(None)
    return {name for name in hashing.everything() if str(file_of(name)) in files}


def test_counts_duplicates_and_a_mixture_are_made_by_the_code_they_are_kept_under_alone() -> None:
    ids = [np.array([0, *row]) for row in np.random.default_rng(0).integers(1, 9, (60, 30))]

    def counting() -> None:
        counts, apart = count(ids, 9)
        assert counted_file.held_out(counts, apart)

    long = " ".join(map(str, range(30)))
    assert ran(counting) - {"unexplained.text.counted"} == set(counted_file.MADE_BY)
    assert ran(lambda: list(near_duplicates([long, "x " + long]))) == {
        "unexplained.text.duplicates"
    }
    assert ran(lambda: deduplicate([document(long, "x"), document("y" + long, "x")])) == {
        "unexplained.text.document"
    }
    assert {"unexplained.text.document", "unexplained.text.duplicates"} < set(webmix.MADE_BY)
    assert "unexplained.text.strata" in code_of([ENGINE])


def test_what_is_counted_or_looked_for_is_made_again_after_an_edit_of_the_code_that_makes_it(
    copied: Path,
) -> None:
    """The shipped counts stay: that they are today's is a test of its own, on a part of them."""
    kept = {
        "text/counts.py": counted_file.MADE_BY,
        "text/smoothing.py": counted_file.MADE_BY,
        "text/duplicates.py": ("unexplained.text.duplicates",),
        "text/corpora/webmix.py": webmix.MADE_BY,
        "text/document.py": webmix.MADE_BY,
    }
    for file, modules in kept.items():
        forget()
        before, source = hashing.own_digest(*modules), (copied / file).read_text(encoding="utf-8")
        for added, same in (("# a remark\n", True), ("NOTHING = 1\n", False)):
            (copied / file).write_text(source + added, encoding="utf-8")
            forget()
            assert (hashing.own_digest(*modules) == before) == same, (file, added)
        (copied / file).write_text(source, encoding="utf-8")


def test_no_wording_of_what_was_counted_voids_a_measurement(copied: Path) -> None:
    modules = ("unexplained.text.ngrams", "unexplained.explanations.fit")
    forget()
    before = code_digest(*modules)
    words = copied / "record" / "tables.py"
    said = words.read_text(encoding="utf-8")
    assert "Smoothing, the better" in said
    words.write_text(said.replace("Smoothing, the better", "Smoothed, the better"), "utf-8")
    forget()
    assert code_digest(*modules) == before


def test_what_is_of_no_module_of_ours_counts_for_nothing() -> None:
    assert code_digest() == code_digest("numpy", "my.claims", "__main__", "unexplained")
    assert code_digest("unexplained.stats") != code_digest()


def test_imports_are_found_however_they_are_written() -> None:
    import ast

    source = (
        "from . import one\nfrom .two import a\nfrom unexplained import three as b\n"
        "import unexplained.four.five as c\n"
        "if TYPE_CHECKING:\n    from unexplained import six\nelse:\n    import unexplained.seven\n"
        "def f():\n    try:\n        from unexplained.eight import d\n    except E:\n        pass\n"
    )
    found = set(hashing._names(ast.parse(source), "unexplained.room"))
    assert found >= {"unexplained.room.one", "unexplained.room.two", "unexplained.three",
                     "unexplained.four.five", "unexplained.seven", "unexplained.eight"}  # fmt: skip
    assert "unexplained.six" not in found


def test_evaluating_again_measures_nothing(tmp_path: Path) -> None:
    subject, text = copies()
    evaluate(subject, text, [], folder=tmp_path)
    told: list[tuple[int, int]] = []
    evaluate(subject, text, [], folder=tmp_path, progress=lambda *at: told.append(at))
    assert told == [(1, 1)]


def test_a_name_that_a_lazy_face_fetches_counts_with_the_module_that_it_lives_in() -> None:
    """`from unexplained.record import Number` runs `record/base.py`, whatever the face imports."""
    from unexplained.hashing import imported

    named = imported("unexplained.bars.reading")
    assert "unexplained.record.base" in named  # from unexplained.record import Number
    assert "unexplained.record.description" in imported("unexplained.explanations.fit")
