"""The package's face: public names are fetched when asked for, and light rooms stay light."""

from __future__ import annotations

import ast
import copy
import pickle
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import unexplained
import unexplained.report
from unexplained.cli.listed import add_commands
from unexplained.errors import MeasurementError, UnexplainedError
from unexplained.registry import Registry
from unexplained.study import CASEBOOK, INSTRUMENTS

HEAVY = ("torch", "transformers", "tokenizers")
LIGHT = ("record", "report", "report.page", "report.terminal", "report.notebook", "bars", "curves",
         "stats", "ledger", "errors", "sites", "files", "estimators", "cli.app")  # fmt: skip


def loaded(code: str) -> set[str]:
    """The modules that are there after some code, in a process of its own."""
    code += "\nimport sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


def test_light_rooms_and_the_command_lines_help_never_import_torch() -> None:
    code = "\n".join(f"import unexplained.{room}" for room in LIGHT)
    code += (
        "\nfrom typer.testing import CliRunner"
        "\nfrom unexplained.cli.app import app"
        "\nfor command in ('', 'assay', 'sweep', 'circuit', 'bars table', 'report'):"
        "\n    done = CliRunner().invoke(app, [*command.split(), '--help'])"
        "\n    assert done.exit_code == 0 and 'Usage' in done.output, done.output"
    )
    there = loaded(code)
    assert "unexplained.record.description" in there
    assert there.isdisjoint(HEAVY), sorted(there & set(HEAVY))


def test_a_list_of_commands_imports_no_instrument_and_a_command_its_own_only() -> None:
    """Nor what draws records: the help of all of them is there in less than half a second."""
    code = (
        "import sys; from typer.testing import CliRunner; from unexplained.cli.app import app"
        "\nassert CliRunner().invoke(app, [*{command!r}.split(), '--help']).exit_code == 0"
    )
    files = ("unexplained.instruments.", "unexplained.casebook.")
    for command, own in (
        ("", set()),
        ("casebook", set()),
        ("subspace", {"unexplained.instruments.subspace"}),
        ("casebook self-repair", {"unexplained.casebook.self_repair"}),
    ):
        there = loaded(code.format(command=command))
        assert {one for one in there if one.startswith(files)} >= own
        assert "unexplained.instruments.label" not in there
        if not own:
            assert not any(
                one.startswith((*files, "unexplained.record.", "numpy")) for one in there
            )


def test_what_is_listed_without_an_import_is_what_is_there() -> None:
    for registry, decorator in ((INSTRUMENTS, "instrument"), (CASEBOOK, "case")):
        helps = {name: one.help for name, one in registry.all().items()}  # type: ignore[attr-defined]
        assert registry.sentences(decorator) == helps  # type: ignore[attr-defined]


def test_the_order_of_a_registry_is_that_of_its_files_whatever_was_asked_for_first() -> None:
    code = (
        "from unexplained.study import INSTRUMENTS as all; all.get('sweep'); all.get('label')"
        "\nassert list(all.all()) == list(all.sentences('instrument')), list(all.all())"
    )
    loaded(code)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[str]]:
    """A registry of a package that is about to be written."""
    (tmp_path / "room_of_tests").mkdir()
    (tmp_path / "room_of_tests/__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        Registry, "of_tests", Registry("thing", "room_of_tests", MeasurementError), raising=False
    )
    yield Registry.of_tests  # type: ignore[attr-defined]
    for name in [name for name in sys.modules if name.partition(".")[0] == "room_of_tests"]:
        del sys.modules[name]


ADDS = "from unexplained.registry import Registry\nRegistry.of_tests.add({name!r}, {name!r})\n"


def write(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / "room_of_tests" / file).write_text(text)


def test_a_file_that_cannot_be_imported_is_named_and_leaves_nothing_behind(
    tmp_path: Path, room: Registry[str]
) -> None:
    write(tmp_path, "good.py", ADDS.format(name="good"))
    write(tmp_path, "used.py", ADDS.format(name="used"))
    write(
        tmp_path,
        "late.py",
        "import room_of_tests.used\n"
        + ADDS.format(name="late")
        + "raise RuntimeError('half of it')\n",
    )
    assert room.get("good") == "good"
    for _ in range(2):
        with pytest.raises(
            MeasurementError, match=r"late\.py.*cannot be imported \(RuntimeError: half of it"
        ):
            room.get("late")
    assert room.get("used") == "used"


def test_order_is_that_of_files_where_one_imports_another_and_a_hyphen_is_an_underscore(
    tmp_path: Path, room: Registry[str]
) -> None:
    write(tmp_path, "a_first.py", "import room_of_tests.z_last\n" + ADDS.format(name="a-first"))
    write(tmp_path, "m_other.py", ADDS.format(name="m-other"))
    write(tmp_path, "z_last.py", ADDS.format(name="z-last"))
    assert room.get("z-last") == "z-last" and "room_of_tests.m_other" not in sys.modules
    assert list(room.all()) == ["a-first", "m-other", "z-last"]


def test_sentences_are_read_however_a_function_is_decorated(
    tmp_path: Path, room: Registry[str]
) -> None:
    write(
        tmp_path,
        "dotted.py",
        '@study.tool("dotted", more=1)\ndef one(run):\n    r"""Says\n    so.\n\n    More."""\n',
    )
    write(
        tmp_path,
        "single.py",
        "@tool(\n    # its name\n    'single',\n)\ndef one(run):\n    pass\n\n\ndef helper():\n    'Another.'\n",
    )
    write(
        tmp_path,
        "keyword.py",
        '@other("average")\ndef two(run):\n    """No."""\n\n\n@tool(name="kw")\ndef one(run):\n    """Yes."""\n',
    )
    write(tmp_path, "broken.py", "def (")
    (tmp_path / "room_of_tests/pack").mkdir()
    write(tmp_path, "pack/__init__.py", '@tool("pack")\ndef one(run):\n    """A folder."""\n')
    found = {"dotted": "Says so.", "kw": "Yes.", "pack": "A folder.", "single": ""}
    assert room.sentences("tool") == found


def test_a_sentence_is_listed_as_it_is_written(tmp_path: Path, room: Registry[str]) -> None:
    write(
        tmp_path,
        "marked.py",
        '@tool("marked")\ndef one(run):\n    """Of [bold] and [/] words."""\n',
    )
    app = typer.Typer()
    app.command("plain")(lambda: None)
    add_commands(app, room, "tool")  # type: ignore[type-var]
    assert "Of [bold] and [/] words." in CliRunner().invoke(app, ["--help"]).output
    app = typer.Typer()
    app.command("plain")(lambda: None)
    write(tmp_path, "plain.py", '@tool("plain")\ndef one(run):\n    """Mine."""\n')
    with pytest.raises(UnexplainedError, match=r"'plain': a command has that name"):
        add_commands(app, room, "tool")  # type: ignore[type-var]


def test_a_record_is_drawn_without_torch(tmp_path: Path) -> None:
    record = sorted((Path(__file__).parents[1] / "benchmarks/results").glob("demo.json"))[0]
    code = (
        "import unexplained as ux"
        f"\nrecord = ux.load_record({str(record)!r})"
        f"\nrecord.report({str(tmp_path / 'page.html')!r}); str(record)"
    )
    there = loaded(code)
    assert (tmp_path / "page.html").stat().st_size > 10_000
    assert there.isdisjoint(HEAVY)


def typed(package: str) -> dict[str, str]:
    """What a type checker sees: public names, with the module that each is from."""
    tree = ast.parse(Path(import_module(package).__file__ or "").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.asname or alias.name: node.module or ""
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("package", ["unexplained", "unexplained.report"])
def test_type_checkers_and_python_see_the_same_names_from_the_same_modules(package: str) -> None:
    found, seen = import_module(package), typed(package)
    assert sorted(seen) == found.__all__ and set(seen) <= set(dir(found))
    for name, home in seen.items():
        room = import_module(home)
        assert getattr(found, name) is getattr(room, name)


def test_rooms_do_not_hide_functions_of_the_same_name() -> None:
    code = (
        "import unexplained as ux, unexplained.text.build, unexplained.evaluate.job"
        "\nimport unexplained.text, unexplained.evaluate"
        "\nassert callable(ux.text) and callable(ux.evaluate)"
        "\nfrom unexplained import text, evaluate"
        "\nassert text is ux.text and evaluate is ux.evaluate"
        "\nimport unexplained.text; assert unexplained.text is text"
        "\nassert ux.record.__name__ == 'unexplained.record'"
        "\nux.note = 3; assert ux.note == 3"
    )
    loaded(code)


def test_what_is_not_there_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'assey'"):
        unexplained.assey  # noqa: B018
    assert not hasattr(unexplained, "_hidden")
    assert "_public" not in dir(unexplained)


def test_code_that_names_the_package_can_be_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(unexplained)) is unexplained
    assert copy.deepcopy({"ux": unexplained})["ux"] is unexplained
