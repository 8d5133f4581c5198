"""Pages of the site that are made of what the package says of itself: run by `make docs` (gen-files).

The first page is the README; every instrument's page is its docstring, its command and the picture of a
record that was measured; the reference is the public names; the glossary is the one of reports.
"""

from __future__ import annotations

import inspect
import io
import json
import re
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from textwrap import fill

import mkdocs_gen_files
import typer
from griffe import Docstring, DocstringElement

import unexplained
from unexplained.cli.app import app
from unexplained.record import Record, load_record
from unexplained.report import text_table
from unexplained.report.glossary import TERMS
from unexplained.study import CASEBOOK, INSTRUMENTS, Case, Instrument

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))
import notebook  # noqa: E402


class Name:
    """Stands for a default by a word."""

    def __init__(self, words: str) -> None:
        self.words = words

    def __repr__(self) -> str:
        return self.words


RECORDS = ROOT / "benchmarks" / "results"
EXAMPLES = {
    "assay": "demo",
    "circuit": "circuit",
    "family": "example-family",
    "french-neuron": "smollm2-french-neuron",
    "gap": "ladder-gap",
    "hunt": "example-hunt",
    "label": "example-label",
    "paths": "ladder-paths",
    "repair": "example-repair",
    "rewrite": "ladder-rewrite",
    "shortfall": "smollm2-shortfall-repeats",
    "sizes": "ladder-sizes",
    "soundness": "example-soundness",
    "structure": "example-structure",
    "subspace": "example-subspace",
    "suppression": "example-suppression",
    "sweep": "example-sweep",
    "tasks": "ladder-tasks",
}
"""Records that are kept with the repository, by instrument or case: of every instrument one."""


def written(path: str, words: str) -> None:
    """A page of the site."""
    with mkdocs_gen_files.open(path, "w") as page:
        page.write(words)


def first_page() -> str:
    """The README, with links as they are on the site."""
    words = (ROOT / "README.md").read_text(encoding="utf-8")
    words = words.replace("](docs/", "](")
    return re.sub(r"\[([^]]+)\]\((CONTRIBUTING\.md|CITATION\.cff)\)", r"`\2`", words)


def example(name: str, folder: str) -> list[str]:
    """The picture and the answer of a record that was measured, if one is kept."""
    if name not in EXAMPLES:
        return []
    record = load_record(RECORDS / f"{EXAMPLES[name]}.json")
    said = f"```text\n{text_table(record, columns=92)}\n```"
    code = f"```\n{record.command}\n```"
    return ["## An example", code, picture(f"{folder}/{name}", record), said]


def options(*names: str) -> Iterator[str]:
    """A row for each option of a command."""
    command = typer.main.get_command(app)
    for name in names:
        command = command.commands[name]  # type: ignore[attr-defined]
    for one in command.params:
        said = " / ".join(one.opts) if one.param_type_name == "option" else one.name.upper()
        words = " ".join((getattr(one, "help", "") or "").split()).replace("|", r"\|")
        default = getattr(one, "default", None)
        shown = "" if default in (None, "", False, ()) or callable(default) else f"`{default}`"
        yield f"| `{said}` | {words} | {shown} |"


def instrument_page(one: Instrument) -> str:
    """What it is, how it is called, and what a record of it looks like."""
    said = inspect.cleandoc(one.function.__doc__ or "").split("\nArgs:\n")[0]
    shown = ", ".join(
        str(p.replace(annotation=inspect.Parameter.empty, default=PLAIN.get(p.name, p.default)))
        for p in one.__signature__.parameters.values()
    )
    parts = [
        f"# {one.name}",
        said.strip(),
        f"```python\n{one.in_python}(\n{fill(shown, 84, **INDENTED)}\n)\n```",
        "\n".join(arguments(one)),
        "Gives a [record](../tutorial.md). `settings`, `folder`, `workers`, `memory` and `say` are the same for "
        "all: level and seed of intervals, where finished work is kept (nowhere with `None`), "
        "[workers](../cluster.md), gigabytes that may be held, and who is told of progress.",
        raises(one),
    ]
    parts += [
        *example(one.name, "instruments"),
        "## On the command line",
        "| option | | default |\n|---|---|---|\n" + "\n".join(options(one.name)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def case_page(one: Case) -> str:
    """What is claimed, by whom, what would refute it, and how to run it."""
    said = inspect.cleandoc(one.function.__doc__ or "").split("\nArgs:\n")[0]
    told = [f"**{row.name}.** {row.cells[0]}" for row in one.card.rows()]
    code = f"record = {one.in_python}(ux.load('smollm2-135m'))"
    if one.texts is not None:
        code = f"subject = ux.load('smollm2-135m')\nrecord = {one.in_python}(subject, ux.text('webmix', subject))"
    parts = [
        f"# {one.name}",
        said.strip(),
        *told,
        f"```python\n{code}\n```",
        "\n".join(arguments(one)),
        raises(one),
        *example(one.name, "casebook"),
        "## On the command line",
        "| option | | default |\n|---|---|---|\n" + "\n".join(options("casebook", one.name)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


INDENTED = {"initial_indent": "    ", "subsequent_indent": "    "}
PLAIN = {"settings": Name("Settings()"), "folder": Name("…")}
"""Defaults whose own writing says nothing to readers."""


def sections(one: Instrument) -> dict[str, list[DocstringElement]]:
    """The arguments and errors of its docstring, by kind of section."""
    found = Docstring(
        one.function.__doc__ or "", parser="google", parser_options={"warnings": False}
    ).parsed
    return {part.kind.value: part.value for part in found if isinstance(part.value, list)}


def arguments(one: Instrument) -> Iterator[str]:
    """A line for each parameter of its own."""
    for said in sections(one).get("parameters", []):
        if said.name != "run":
            yield f"- `{said.name}`: {' '.join(said.description.split())}"


def raises(one: Instrument) -> str:
    """What it refuses."""
    said = sections(one).get("raises", [])
    lines = [f"- `{error.annotation}`: {' '.join(error.description.split())}" for error in said]
    return "\n".join(["Refuses:", "", *lines]) if lines else ""


def picture(path: str, record: Record) -> str:
    """The picture that shows the answer, as the record's own figure."""
    drawn = io.BytesIO()
    record.figure().savefig(drawn, format="svg", metadata={"Date": None})
    with mkdocs_gen_files.open(f"{path}.svg", "wb") as file:
        file.write(drawn.getvalue())
    return f"![{record.title}]({Path(path).name}.svg)"


def reference() -> str:
    """Every public name."""
    parts = [
        "# Python",
        "`import unexplained as ux`. Instruments have [pages of their own](instruments/index.md).",
    ]
    for name, home in sorted(homes_of_names().items()):
        thing = getattr(unexplained, name)
        if not inspect.getdoc(thing):
            raise SystemExit(f"{name} is public and has no docstring")
        parts.append(f"::: {home}.{name}")
    return "\n\n".join(parts) + "\n"


def homes_of_names() -> dict[str, str]:
    """Public names and where each lives; of instruments, whose pages are others, none."""
    known = INSTRUMENTS.all()
    return {name: home for name, home in unexplained.public.items() if name not in known}


def glossary() -> str:
    """All terms of reports, in alphabetical order."""
    terms = sorted(TERMS, key=lambda term: term.name.casefold())
    return (
        "# Glossary\n\n" + "\n\n".join(f"**{term.name}**: {term.meaning}" for term in terms) + "\n"
    )


def notebook_pages() -> None:
    """Notebooks that were run (`make notebooks`) with what their cells gave, and their pages with it."""
    for name in notebook.PAGES:
        page = Path(name)
        run = notebook.RUN / page.with_suffix(".ipynb")
        # One of another state of the page would show what its code does not give.
        if not run.is_file() or not notebook.runs_page(run, ROOT / "docs" / page):
            continue
        words = run.read_text(encoding="utf-8")
        written(page.with_suffix(".ipynb").name, words)

        def picture(ending: str, content: bytes, stem: str = page.stem) -> str:
            place = f"{stem}-{sha256(content).hexdigest()[:8]}.{ending}"
            with mkdocs_gen_files.open(place, "wb") as file:
                file.write(content)
            return place

        written(name, notebook.with_outputs(json.loads(words), picture))


written("index.md", first_page())
notebook_pages()
every = INSTRUMENTS.all()
for found in every.values():
    written(f"instruments/{found.name}.md", instrument_page(found))
written(
    "instruments/index.md",
    "# Instruments\n\nWhat can be asked of a model.\n\n"
    + "\n".join(f"- [{name}]({name}.md): {one.help}" for name, one in every.items())
    + "\n",
)
for case in CASEBOOK.all().values():
    written(f"casebook/{case.name}.md", case_page(case))
written(
    "casebook/index.md",
    "# Casebook\n\nThe field's best-known claims about components, held to account on any model.\n\n"
    + "\n".join(
        f"- [{one.name}]({one.name}.md): {one.card.claim}" for one in CASEBOOK.all().values()
    )
    + "\n",
)
written("api.md", reference())
written("glossary.md", glossary())
written("changelog.md", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
