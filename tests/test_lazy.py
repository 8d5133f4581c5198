"""The package's face: public names are fetched when asked for, and light rooms stay light."""

from __future__ import annotations

import ast
import copy
import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import unexplained
import unexplained.report
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
    for registry in (INSTRUMENTS, CASEBOOK):
        assert registry.sentences() == {name: one.help for name, one in registry.all().items()}


def test_the_order_of_a_registry_is_that_of_its_files_whatever_was_asked_for_first() -> None:
    code = (
        "from unexplained.study import INSTRUMENTS as all; all.get('sweep'); all.get('label')"
        "\nassert list(all.all()) == list(all.sentences()), list(all.all())"
    )
    loaded(code)


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
