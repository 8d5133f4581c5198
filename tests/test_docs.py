"""What the documents say of the repository is so."""

import builtins
import importlib
import inspect
import json
import pkgutil
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import typer

from sample_record import sample_record
from unexplained import errors
from unexplained.errors import SiteError
from unexplained.record import Record
from unexplained.record.blocks import Attention, Tokens
from unexplained.record.ids import walk
from unexplained.sites import Shape, parse
from unexplained.study import CASEBOOK, INSTRUMENTS
from unexplained.subject.shipped import shipped

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_generated_tables_are_those_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import readme

    for path in readme.DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        assert readme.filled(text) == text, f"{path.name}: make readme"
    assert sorted(readme.places()) == sorted(readme.BLOCKS)
    sys.modules.pop("readme")


GENERATED = {"glossary.md", "api.md", "changelog.md", "instruments/index.md"}
"""Pages that `docs/generate.py` makes; `make docs` looks that links to them lead somewhere."""
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


def records_in(data: object) -> Iterator[Record]:
    """Every record in a file of results, wherever it stands."""
    if isinstance(data, dict) and "blocks" in data:
        yield Record.model_validate(data)
    elif isinstance(data, dict | list):
        for inner in data.values() if isinstance(data, dict) else data:
            yield from records_in(inner)


def test_no_words_of_others_are_kept_with_a_record() -> None:
    kept = [one for path in RESULTS for one in records_in(json.loads(path.read_text("utf-8")))]
    every = {*INSTRUMENTS.all(), *CASEBOOK.all()}
    assert set(INSTRUMENTS.all()) <= {one.instrument for one in kept} <= every
    assert not [b for one in kept for _, b in walk(one.blocks) if isinstance(b, Tokens | Attention)]


def test_how_a_kept_record_is_made_again_can_be_run_or_says_what_it_lacks() -> None:
    """A command line, a script of the repository, or code that says which names it does not define."""
    from unexplained.study.call import _named

    for path in RESULTS:
        for record in records_in(json.loads(path.read_text("utf-8"))):
            said = record.command
            if not said.startswith("import "):
                program = said.split()[0]
                assert program == "unexplained" or (ROOT / "benchmarks" / program).is_file(), path
                continue
            first = set(re.findall(r"^# Define '(\w+)' first: ", said, re.MULTILINE))
            imported = set(re.findall(r"^(?:from \S+ )?import .*?(\w+)$", said, re.MULTILINE))
            assert _named(said) - imported == first, path.name


def test_a_record_that_is_taken_in_loses_its_words_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import records

    whole = sample_record()
    assert any(isinstance(block, Tokens) for _, block in walk(whole.blocks))
    kept = records.without_words(whole)
    gone = [block for _, block in walk(whole.blocks) if isinstance(block, Tokens)]
    said = [token.text for block in gone for one in block.examples for token in one.tokens]
    assert said and "intact_says" not in kept.to_json()
    assert dict(kept.numbers()) == dict(whole.numbers())
    assert len(list(walk(kept.blocks))) == len(list(walk(whole.blocks))) - len(gone)


def test_a_record_of_another_instrument_and_a_cell_that_is_not_there_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import records

    demo = ROOT / "benchmarks" / "results" / "demo.json"
    with pytest.raises(SystemExit, match="is a record of assay; circuit was asked for"):
        records.read(demo, "circuit")
    for where in ("facts/model/is/more", "facts/nobody/is"):
        with pytest.raises(SystemExit, match="has no"):
            records.cell(records.read(demo, "assay"), where)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_and_targets_that_a_document_names_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:src|tests|docs|benchmarks|examples)/[\w./-]*[\w/])`", text):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"\]\(((?!http)[\w./-]+)\)", text):
        made = (document.parent / path).resolve().as_posix().partition("/docs/")[2]
        assert (document.parent / path).exists() or made in GENERATED, path
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z]+)`", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


# What documents show as code

CODE = re.compile(
    r"(<!-- not run by the tests of the docs: [^>]*-->\n)?^```python\n(.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
SMALLER = {"smollm2-135m": "attention-2", '"webmix"': '"pydocs"', "L16-18.H*": "L1.H*"}
"""What stands here for the real model and its text: `make notebooks` runs the pages as they are."""


def programs() -> list[Path]:
    return [path for path in DOCUMENTS if CODE.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("document", programs(), ids=lambda path: path.name)
def test_the_code_of_a_document_runs(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All in one program, in a folder of its own, on fewer documents, without ladder and twins."""
    import unexplained as ux
    import unexplained.study.axis as beside

    blocks = CODE.findall(document.read_text(encoding="utf-8"))
    code = "\n\n".join(code for left_out, code in blocks if not left_out)
    whole = ux.text

    def few(source: Any, subject: Any, documents: int = 8, **others: Any) -> Any:
        others["fit_documents"] = min(others.get("fit_documents", 8), 8)
        return whole(source, subject, documents=min(documents, 10), **others)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ux, "text", few, raising=False)
    for name in ("assay", "sweep"):
        monkeypatch.setattr(ux, name, partial(getattr(ux, name), twin=False), raising=False)
    monkeypatch.setattr(beside, "on_ladder", lambda *_: False)
    file = tmp_path / "shown.py"
    file.write_text(code, encoding="utf-8")
    for real, here in SMALLER.items():
        code = code.replace(real, here)
    exec(compile(code, str(file), "exec"), {"__name__": "shown"})


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_code_stands_where_it_would_not_run(document: Path) -> None:
    """Every Python block is one that `CODE` finds: not indented, not under another name."""
    text = document.read_text(encoding="utf-8")
    rest = CODE.sub("", text)
    assert not re.findall(r"^ *(?:```|~~~) *(?:py|python3?|pycon|ipython)\b.*$", rest, re.MULTILINE)
    assert not re.findall(r"^ {4,}(?:(?:def|class|import|from) \w|@\w|>>>).*$", rest, re.MULTILINE)


def test_only_code_that_starts_a_cluster_is_left_out_here() -> None:
    left_out = {
        path.name
        for path in programs()
        for words, _ in CODE.findall(path.read_text(encoding="utf-8"))
        if words
    }
    assert left_out == {"cluster.md"}


def commands() -> list[tuple[str, str]]:
    """Command lines that documents show, indented by four, with what follows a sign for a comment off."""
    return [
        (path.name, line.partition("  #")[0].strip())
        for path in [*DOCUMENTS, ROOT / "CONTRIBUTING.md"]
        for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        if line.startswith("    unexplained ")
    ]


def understood(line: str) -> dict[str, Any]:
    """Go through a command line as the program does, but for running it: its values; raises where it stops."""
    from unexplained.cli.app import app

    command: Any = typer.main.get_command(app)
    name, parent, words = "unexplained", None, shlex.split(line)[1:]
    while True:
        context = command.make_context(name, list(words), parent=parent)
        if not hasattr(command, "resolve_command"):  # typer has groups of its own, not click's
            return dict(context.params)
        rest = [*context._protected_args, *context.args]
        name, command, words = command.resolve_command(context, rest)
        parent = context


@pytest.mark.parametrize(("document", "line"), commands())
def test_a_command_that_a_document_shows_is_one(document: str, line: str) -> None:
    """Its command, its options and their values are known; nothing is run."""
    for name in ("models | texts", "report"):  # a line that names several is each of them
        line = line.replace(f"{name} | ", f"{name} ")
    understood(line)


def shape_of(model: str) -> Shape:
    """A model's sizes by its configuration; of one that is fetched, as its makers state them."""
    fetched = {"smollm2-135m": (30, 9, 3, 64, 576, 1536, 49152)}
    if model in fetched:
        return Shape(*fetched[model])
    config = json.loads((shipped()[model] / "config.json").read_text(encoding="utf-8"))
    heads, width = config["num_attention_heads"], config["hidden_size"]
    return Shape(config["num_hidden_layers"], heads, heads, width // heads, width,
                 config["intermediate_size"], config["vocab_size"])  # fmt: skip


def require_there(line: str) -> int:
    """Refuse components that the named model lacks; how many there are."""
    given = understood(line)
    named = [given[key] for key in ("sites", "heads") if given.get(key)]
    return sum(len(parse(where, shape_of(given["model"]))) for where in named)


def test_components_that_a_shown_command_names_are_in_its_model() -> None:
    lines = [line for _, line in commands() if re.search(r"\bL[\d*]", line)]
    assert len(lines) > 3 and all(map(require_there, lines))
    with pytest.raises(SiteError, match="2 layers"):
        require_there("unexplained sweep attention-2 L2.H0")


@pytest.mark.parametrize(
    "line",
    ["nosuch", "assay rung-1 --no-such-option 3", "assay rung-1 --documents few", "models nosuch",
     "assay rung-1 --dtype nope", "assay rung-1 --text"],
)  # fmt: skip
def test_a_command_that_is_none_is_not_understood(line: str) -> None:
    with pytest.raises(Exception, match=r"(?i)no such|not a valid|valid|requires|one of"):
        understood(f"unexplained {line}")


def test_what_a_notebook_prints_is_as_wide_as_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import notebook

    prose, row = "a sentence that is long, " * 9, "a row   of a table" * 9
    *lines, last = notebook.folded(f"{prose}\n{row}").split("\n")
    assert last == row and len(lines) > 1 and max(map(len, lines)) <= int(notebook.COLUMNS)
    assert " ".join(lines) == prose.strip()
    sys.modules.pop("notebook")


@pytest.mark.parametrize("page", ["tutorial", "smollm2"])
def test_a_notebook_has_its_pages_cells(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import notebook

    words = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert notebook.as_text(words) == (ROOT / "docs" / f"{page}.ipynb").read_text("utf-8"), (
        "python docs/notebook.py"
    )


def test_every_public_name_is_documented() -> None:
    import unexplained as ux

    for name in ux.__all__:
        thing = getattr(ux, name)
        said = thing.function.__doc__ if hasattr(thing, "function") else thing.__doc__
        assert name in ("LIBRARY",) or (said or "").strip(), name


def public() -> Iterator[tuple[str, list[str], FunctionType]]:
    """The functions of every package's face and the methods of its classes, with their packages' words."""
    import unexplained as ux

    below = [one.name for one in pkgutil.walk_packages(ux.__path__, "unexplained.") if one.ispkg]
    for place in ("unexplained", *below):
        face = importlib.import_module(place)
        for name in getattr(face, "__all__", ()):
            thing = getattr(face, name)
            if inspect.isfunction(thing):
                yield f"{place}.{name}", [inspect.getdoc(face) or ""], thing
            for own, held in vars(thing).items() if inspect.isclass(thing) else ():
                method = held.__func__ if isinstance(held, classmethod | staticmethod) else held
                a_field = own in getattr(thing, "__dataclass_fields__", ())  # its default is one
                if inspect.isfunction(method) and not own.startswith("_") and not a_field:
                    home = importlib.import_module(method.__module__.rpartition(".")[0])
                    shared = [inspect.getdoc(face) or "", inspect.getdoc(home) or ""]
                    yield f"{place}.{name}.{own}", shared, method


def test_every_parameter_of_a_public_function_or_method_and_every_error_is_documented() -> None:
    """By the function, or by its package for those that many share; the errors named are there.

    The sentence of a method says its only parameter, by name or under `Args`.
    """
    seen, named, methods = 0, set(), 0
    for where, shared, function in public():
        said = inspect.getdoc(function) or ""
        raised = said.partition("Raises:\n")[2].split("\n\n")[0]
        named |= set(re.findall(r"^    (\w+):", raised, re.MULTILINE))
        a_method = len(shared) > 1
        methods, seen = methods + a_method, seen + (not a_method)
        asked = [n for n in inspect.signature(function).parameters if n not in ("self", "cls")]
        for name in asked:
            there = re.compile(rf"^    \*{{0,2}}{name}: ", re.MULTILINE)
            alone = a_method and len(asked) == 1 and re.search(rf"\b{name}\b", said, re.IGNORECASE)
            assert alone or any(map(there.search, [said, *shared])), f"{where}: {name}"
    assert seen > 100 and methods > 80 and "MeasurementError" in named
    ours = {one.__name__ for one in vars(errors).values() if inspect.isclass(one)}
    assert named - ours - set(vars(builtins)) == {"CircuitError"}  # of its own room


def test_the_changelog_is_by_version_and_its_newest_is_the_packages() -> None:
    """Newest first, each with its date and last commit; what lies ahead is `Unreleased` alone."""
    words = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *versions = re.findall(r"^## (.*)$", words, re.MULTILINE)
    assert first == "Unreleased"
    found = [
        re.fullmatch(r"(\d+)\.(\d+)\.(\d+) - (\d{4}-\d\d-\d\d) \(`[0-9a-f]{7}`\)", one)
        for one in versions
    ]
    assert all(found), versions
    numbers = [tuple(map(int, one.groups()[:3])) for one in found if one]
    dates = [one[4] for one in found if one]
    assert numbers == sorted(set(numbers), reverse=True) and dates == sorted(dates, reverse=True)
    newest = ".".join(map(str, numbers[0]))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == newest
    assert f"\nversion: {newest}\ndate-released: {dates[0]}\n" in (ROOT / "CITATION.cff").read_text(
        encoding="utf-8"
    )
