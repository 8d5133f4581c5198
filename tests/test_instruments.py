"""Laws of every instrument in the registry, and what it takes to add one: a file."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer.main

import unexplained as ux
from measured import LEAN, NAMES, called, model, words
from unexplained.cli.app import app
from unexplained.errors import MeasurementError, UnexplainedError
from unexplained.evaluate.evaluate import in_process
from unexplained.evaluate.work import Task, Work
from unexplained.record import Record, load_record
from unexplained.record.blocks import Checks
from unexplained.sites import HEAD_VALUES, LAYER_PARTS, MODEL_PARTS
from unexplained.study import INSTRUMENTS, Headline, Instrument, Run, arms
from unexplained.study.given import Option
from unexplained.study.instrument import parameters_of

DUMMY = '''
"""A dummy."""
from __future__ import annotations
from typing import TYPE_CHECKING, Annotated
from unexplained.record.blocks import Column, Row, Table
from unexplained.study import Headline, Models, Option, arms, instrument
if TYPE_CHECKING:
    from unexplained.study import Run
    from unexplained.subject import Subject

@instrument("dummy")
def dummy(
    run: Run,
    weak: Annotated[Subject, Models("A weaker model.", default="rung-1")],
    *,
    times: Annotated[int, Option("How often.", least=1)] = 2,
):
    """Losses of two models, said several times."""
    read = run.measure(arms.model(weak))
    yield Headline(f"{run.subject.name} and {weak.name}", f"Said {times} times.")
    rows = [Row(key=f"{name}-{i}", name=name, cells=(read.loss(name),))
            for i in range(times) for name in ("intact", weak.name)]
    yield Table(key="losses", columns=(Column(key="loss", heading="Loss"),), rows=tuple(rows))
'''


@pytest.fixture
def subject() -> ux.Subject:
    return model()


@pytest.fixture
def text() -> ux.Text:
    return words()


class Begun(BaseException):
    """Something was about to be run."""


def begun(work: Work[Any], tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
    """Workers who stop where a measurement begins."""
    if tasks:
        raise Begun
    return iter(())


KINDS = ("L0.H0", *(f"L0.H0.{value}" for value in HEAD_VALUES), "L0.N0",
         *(f"L0.{part}" for part in LAYER_PARTS), *MODEL_PARTS)  # fmt: skip
"""An address of every kind that there is."""
PATTERN = "L0.H0.pattern"
"""What is measured is a component or a vector of it: where a head looks has no ablation, and none may begin on it."""


def test_who_takes_no_explanation_is_not_told_to_give_one() -> None:
    """`repair` said that a pattern is claimed by an explanation, and takes none."""
    with pytest.raises(UnexplainedError) as alone:
        called(INSTRUMENTS.get("repair"), sites=PATTERN)
    assert alone.value.do == "Give the head, L0.H0."
    with pytest.raises(UnexplainedError) as claimed:
        called(INSTRUMENTS.get("rewrite"), sites=PATTERN)
    assert '@explanation(gives="pattern"' in claimed.value.do


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_site_is_served_or_refused_by_name_before_anything_is_run(name: str) -> None:
    one = INSTRUMENTS.get(name)
    if "sites" not in {p.name for p in one.parameters}:
        pytest.skip("it has no components")
    served = 0
    for kind in ("L99.H0", "nonsense", "L0.H0.whole", *KINDS):
        try:
            called(one, sites=kind, workers=begun)
            raise AssertionError(f"a record of {kind} without a measurement")
        except Begun:
            assert kind in KINDS and kind != PATTERN, kind
            served += 1
        except UnexplainedError as error:
            assert kind in error.asked and error.found and error.do, (kind, str(error))
    # Of one head alone there is no structure: it is refused as well, and layers are served.
    assert served or name == "structure"


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_of_an_instrument_has_its_help_and_its_docstring(name: str) -> None:
    one = INSTRUMENTS.get(name)
    said = inspect.getdoc(one.function) or ""
    assert one.help.endswith((".", "?"))
    for parameter in one.parameters:
        assert f"    {parameter.name}: " in said, parameter.name


# Another instrument


ELSEWHERE = """
import os, sys
import unexplained.instruments as folder
folder.__path__.append({more!r})
from unexplained.cli import main
def forked(words):
    child = os.fork()
    if not child:
        sys.argv = ["unexplained", *words]
        main()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for stream in (sys.stdout, sys.stderr):
        stream.write(f"status {{code}}\\n")
        stream.flush()
help, *others = {asked!r}
forked(help)
import unexplained.subject.load  # once for all others
for words in others:
    forked(words)
"""


def elsewhere(tmp_path: Path, *asked: tuple[str, ...]) -> list[tuple[int, str, str]]:
    """Exit status, output and errors of command lines where one instrument more is installed."""
    (tmp_path / "more").mkdir(exist_ok=True)
    (tmp_path / "more" / "dummy.py").write_text(DUMMY, encoding="utf-8")
    code = ELSEWHERE.format(more=str(tmp_path / "more"), asked=asked)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          cwd=tmp_path, env={**os.environ, "COLUMNS": "120"}, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    out, err = (re.split(r"status (\d+)\n", said) for said in (done.stdout, done.stderr))
    return [(int(out[i + 1]), out[i], err[i]) for i in range(0, 2 * len(asked), 2)]


def test_a_file_in_the_folder_is_a_command_a_page_and_a_record(tmp_path: Path) -> None:
    measured = (
        "dummy", "rung-2", "--times", "3", "--text", "repeats", "--documents", "6",
        "--fit-documents", "4", "--block", "16", "--run", "run",
    )  # fmt: skip
    listed, told, wrong, near = elsewhere(
        tmp_path, ("--help",), measured, ("dummy", "rung-2", "--times", "0"),
        ("dummy", "rung-2", "--weak", "rung-11"),
    )  # fmt: skip
    assert "dummy" in listed[1] and "Losses of two models, said several times." in listed[1]
    assert told[0] == 0, told[2]
    assert "Said 3 times." in told[1] and "rung-2 and rung-1" in told[1]
    record = load_record(tmp_path / "runs" / "dummy-rung-2.json")
    assert isinstance(record, Record) and record.instrument == "dummy"
    assert [where for where, _ in record.numbers()][:2] == [
        "losses/intact-0/loss",
        "losses/rung-1-0/loss",
    ]
    assert set(record.others) == {"rung-1"}
    assert "Said 3 times." in (tmp_path / "runs" / "dummy-rung-2.html").read_text(encoding="utf-8")
    assert wrong[0] == 2 and "--times" in wrong[2]
    assert near[0] == 2 and "Did you mean" in near[2]


def yielding(*items: Any) -> Instrument:
    def function(run: Any, *, most: int = 3) -> Iterator[Any]:
        """Something."""
        yield from items

    texts = INSTRUMENTS.get("gap").texts
    return Instrument("x", function, texts, None, "", parameters_of(function), lambda given: None)


@pytest.mark.parametrize("name", NAMES)
def test_an_instrument_is_a_function_of_the_package(name: str) -> None:
    """As its page on the site calls it; a file that was only dropped into the folder is one too."""
    assert getattr(ux, name) is INSTRUMENTS.get(name)


def test_an_instrument_without_one_headline_is_refused(subject: ux.Subject, text: ux.Text) -> None:
    line = Headline("t", "v")
    for items in ((), (line, line)):
        with pytest.raises(MeasurementError, match="headlines"):
            yielding(*items)(subject, text)
    assert yielding(line)(subject, text).title == "t"


def test_controls_that_an_instrument_does_not_show_are_in_its_record(
    subject: ux.Subject, text: ux.Text
) -> None:
    def function(run: Run, *, shown: int = 0) -> Iterator[Any]:
        """Measures a claim, and shows some of its controls."""
        sites = run.subject.sites("L1.H0")
        claims = arms.claims(run, sites, [ux.LIBRARY.get("strict_induction")])
        read = run.measure(arms.ablation(run, "mean", sites), *claims)
        yield Headline("t", "v")
        if shown:
            yield Checks(key="controls", checks=read.checks()[:shown])

    one = replace(yielding(), function=function, parameters=parameters_of(function))
    for shown, keys in ((0, ["controls"]), (1, ["controls", "other-controls"]), (3, ["controls"])):
        record = one(subject, text, shown=shown, settings=LEAN, folder=None)
        blocks = [block for block in record.blocks if isinstance(block, Checks)]
        assert [block.key for block in blocks] == keys
        names = [check.name for block in blocks for check in block.checks]
        assert names == ["the component itself", "no explanation", "strict induction, shuffled"]


def test_an_instrument_is_called_like_a_function() -> None:
    gap = INSTRUMENTS.get("gap")
    names = list(inspect.signature(gap).parameters)
    assert names[:3] == ["subject", "weak", "text"] and names[-1] == "say"
    with pytest.raises(TypeError, match="unexpected keyword"):
        gap(1, 2, 3, nonsense=4)


def test_a_parameter_without_a_word_about_it_is_an_option() -> None:
    (one,) = yielding().parameters
    assert one.given == Option() and one.default == 3 and not one.positional


def test_importing_every_instrument_imports_no_torch() -> None:
    code = (
        "import sys; from unexplained.study import INSTRUMENTS; INSTRUMENTS.all();"
        "assert 'torch' not in sys.modules and 'scipy' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "works"),
    [
        ("circuit", {"circuits.edges", "circuits.magnitude", "evaluate.job"}),
        ("tasks", {"evaluate.activations", "evaluate.job"}),
    ],
)
def test_everything_is_scored_observed_and_measured_by_the_runs_workers(
    name: str, works: set[str]
) -> None:
    given: set[str] = set()

    def watching(work: Work[Any], tasks: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        given.add(type(work).__module__.removeprefix("unexplained."))
        yield from in_process(work, tasks)

    called(INSTRUMENTS.get(name), workers=watching)
    assert given == works


def test_as_many_documents_are_measured_from_python_as_from_a_shell() -> None:
    from unexplained.study.given import Texts

    said = inspect.signature(ux.text).parameters
    for name in ("documents", "fit_documents", "block"):
        assert said[name].default == getattr(Texts(), name)


@pytest.mark.parametrize("name", NAMES)
def test_every_instrument_takes_a_family_of_models_or_says_why_not_and_what_to_do(
    name: str,
) -> None:
    one = INSTRUMENTS.get(name)
    if one.priced:
        return
    family = ["rung-1=1e12", "rung-2=2e12"]
    with pytest.raises(MeasurementError, match=f"A family of models in {name}") as caught:
        one(family=family)
    assert "unexplained" in caught.value.do
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    with pytest.raises(MeasurementError, match=re.escape(one.unpriced.why)):
        command.main(["rung-2", "--family", family[0]], standalone_mode=False)
