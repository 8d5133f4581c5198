"""What commands share: the application, options of the same meaning, where a text comes from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text as Words

from unexplained.fetch import cache_folder
from unexplained.report import visible
from unexplained.report.console import Visible
from unexplained.stops import keeping

if TYPE_CHECKING:
    from unexplained.explanations import Explanation
    from unexplained.record import Header
    from unexplained.subject import Subject
    from unexplained.text import Text

app = typer.Typer(
    help="Hold explanations of neural networks to account: state one as code, put it in the "
    "component's place, and read off how much of the model's performance it accounts for.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
OUT = Visible()

Model = Annotated[str, typer.Argument(help="Packaged name, folder, .gguf file or hub id.")]
TextName = Annotated[str, typer.Option(help="webmix, pydocs, repeats, or a file.")]
Documents = Annotated[int, typer.Option(min=1, help="Documents to measure on, one block each.")]
SweepDocuments = Annotated[
    int,
    typer.Option(
        min=10,
        help="Documents to measure on: half choose the strongest, the other half reports on them.",
    ),
]
FitDocuments = Annotated[int, typer.Option(min=1, help="Documents to fit means and maps on.")]
BlockSize = Annotated[
    int, typer.Option("--block", min=2, help="Greatest number of tokens in a block.")
]
Seed = Annotated[int, typer.Option(min=0, help="Draws documents, donors and the twin's weights.")]
Terms = Annotated[bool, typer.Option("--accept-terms", help="Accept the model's licence terms.")]
Report = Annotated[Path, typer.Option(help="Where the HTML page goes.")]
RecordFile = Annotated[Path, typer.Option("--record", help="Where the JSON goes.")]
Gate = Annotated[
    bool, typer.Option("--gate/--no-gate", help="Refuse a behaviour that the model does not have.")
]
Twin = Annotated[bool, typer.Option(help="Measure a model with random weights beside it.")]
Run = Annotated[
    Path | None,
    typer.Option("--run", help="A folder for this run alone; by default the cache is shared."),
]


_HOW = {"report", "record", "run", "workers", "cluster", "memory", "accept_terms", "graph"}
"""Parameters that say where things go or who does the work, and not what is asked."""


@contextmanager
def kept(context: typer.Context, run: Path | None, **found: str) -> Iterator[Path]:
    """Where finished measurements are kept; a folder that is named is for one run alone.

    Args:
        context: Of the command: what was asked for is written down in the folder.
        run: The folder; None is the shared cache, which holds everything apart by itself.
        found: What the command's parameters do not say, such as a model's fingerprint.

    Raises:
        MeasurementError: The folder holds another run (with the differences).
    """
    from unexplained.evaluate.store import run_folder
    from unexplained.study.asked import require_folder

    require_folder(run)
    given = {k: _told(v) for k, v in context.params.items() if k not in _HOW}
    asked = {"command": context.info_name or "", **given, **found}
    with run_folder(run, asked):
        if run is not None:
            keeping(str(run))
        yield shared_ledgers() if run is None else run


def shared_ledgers() -> Path:
    """Where finished measurements of all runs are kept."""
    folder = cache_folder() / "ledgers"
    keeping(str(folder))
    return folder


def _told(value: object) -> str:
    some = value if isinstance(value, list | tuple) else [value]
    return " ".join(str(getattr(one, "value", one)) for one in some)


def read_text(
    name: str,
    subject: Subject,
    *,
    documents: int,
    fit_documents: int,
    block: int,
    seed: int,
    fits: bool = True,
) -> Text:
    """Running text, or for a behaviour's name or a file of pairs so many pairs with their swaps.

    Args:
        name: What text.
        subject: Whose tokenizer cuts it.
        documents: How many documents, or pairs with their role-swaps, to measure on.
        fit_documents: How many to fit on.
        block: Greatest number of tokens in a block.
        seed: What is drawn.
        fits: Something will be fitted on the fit part; otherwise a file of pairs needs none, and
            all its pairs are measured (but those whose lines say `fit`).
    """
    import unexplained as ux
    from unexplained.text.pairs import described

    if is_pairs(name):
        fit_pairs = 2 * fit_documents if fits or name in described() else 0
        return ux.pairs(name, subject, pairs=2 * documents, fit_pairs=fit_pairs, seed=seed)
    return ux.text(
        name, subject, documents=documents, fit_documents=fit_documents, block=block, seed=seed
    )


def is_pairs(name: str) -> bool:
    """Whether a text is a behaviour or a file of pairs: the first line has a pair's fields.

    Raises:
        TextError: It is a `.jsonl` file that cannot be read.
    """
    from unexplained.text.behaviours.files import FIELDS
    from unexplained.text.lines import json_lines
    from unexplained.text.pairs import described

    path = Path(name)
    there = os.path.isfile(name)  # noqa: PTH113  (a name too long is no error here)
    if name in described() or path.suffix.lower() != ".jsonl" or not there:
        return name in described()
    _, first = next(json_lines(path), ("", None))
    return isinstance(first, dict) and not first.keys().isdisjoint(FIELDS) and "text" not in first


def require_outputs(**paths: Path | None) -> None:
    """Refuse files that cannot be written, or are one file, before anything else is done.

    Args:
        paths: What is written there, such as `report`, and the path; None where nothing is.

    Raises:
        RecordError: One cannot be written, or two are the same.
    """
    from unexplained.places import require_apart, require_writable

    require_apart({what.replace("_", " "): path for what, path in paths.items()})
    for what, path in paths.items():
        if path is not None:
            require_writable(path, what.replace("_", " "))


def require_texts(*names: str, pairs: bool | None = False) -> None:
    """Refuse names of no text, before a model is loaded.

    Args:
        names: What was asked for.
        pairs: Whether behaviours and files of pairs are wanted: not, alone, or (None) as well.

    Raises:
        TextError: There is no such text.
    """
    from unexplained.errors import TextError, near_matches
    from unexplained.text.corpora import corpus_of
    from unexplained.text.corpora import names as corpora
    from unexplained.text.pairs import described

    for name in names:
        if pairs is not False and is_pairs(name):
            continue
        if pairs:
            file = Path(name).suffix.lower() == ".jsonl" and Path(name).is_file()
            if file:
                continue
            raise TextError(
                f"The behaviour '{name}'",
                "there is none of that name, and it is not a .jsonl file of pairs",
                near_matches(name, described()),
            )
        if name not in corpora() and not _exists(name):
            try:
                corpus_of(name)  # which says so
            except OSError as error:
                raise TextError(
                    f"The text '{name}'", f"it cannot be read ({error.strerror})"
                ) from None


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except OSError:  # a name that is too long, or below a folder that one may not enter
        return False


def require_models(*names: str) -> None:
    """Refuse names of no model, before another one is loaded.

    Raises:
        SubjectError: There is no packaged model, folder or file of that name, and it is no hub id.
    """
    from unexplained.errors import SubjectError
    from unexplained.subject import PACKAGED, load
    from unexplained.subject.shipped import shipped

    for name in names:
        known = name in PACKAGED or name in shipped() or "/" in name
        if not known and not _exists(name):
            try:
                load(name)  # which says so
            except OSError as error:
                raise SubjectError(
                    f"The model '{name}'", f"it cannot be read ({error.strerror})"
                ) from None


def require_explanations(*names: str) -> None:
    """Refuse names of no explanation and files that are not there, before a model is loaded.

    Raises:
        ExplanationError: There is none.
    """
    from unexplained.explanations.files import find_explanation

    for name in names:
        path = name.partition(":")[0]
        if not path.endswith(".py") or not Path(path).is_file():
            find_explanation(name)


def require_same(
    names: Iterable[str], subject: Subject, text: Text | None = None
) -> list[Explanation]:
    """Explanations by name, those of files only if they say the same in a fresh process.

    Raises:
        ExplanationError: There is no such one, or one depends on more than what it is given.
    """
    from unexplained.explanations import again
    from unexplained.explanations.files import find_explanation

    all_found: list[Explanation] = []
    for name in names:
        found = find_explanation(name, text)
        if name.partition(":")[0].endswith(".py"):
            for note in again.require_same(name, found, subject.shape, text):
                OUT.print(Words(note, style="dim"))
        all_found += found
    return all_found


@contextmanager
def writing(report: Path, record: Path, **more: Path | None) -> Iterator[list[Header]]:
    """Find out before a measurement that its files can be written; afterwards print and write.

    Put the record into the list that is given.
    """
    from unexplained.report import print_record, write_report

    require_outputs(report=report, record=record, **more)
    made: list[Header] = []
    yield made
    (found,) = made
    found.save(record)  # first, so that nothing later can lose what was measured
    print_record(found, OUT)
    write_report(found, report)
    say_written(report, f"   Record: {visible.name(record)}   ({found.seconds:.0f} s)")


def say_written(report: Path, more: str = "") -> None:
    """The last line of a command: where its page is."""
    OUT.print(Words.assemble("Report: ", (visible.name(report), "bold"), more))
