"""What commands share: the application, options of the same meaning, where a text comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text as Words
from typer.core import TyperGroup

from unexplained.console import Visible
from unexplained.fetch import kept_in
from unexplained.places import SHARED
from unexplained.stops import keeping

if TYPE_CHECKING:
    from unexplained.explanations import Explanation, StandIn
    from unexplained.subject import Subject
    from unexplained.text import Text


class Commands(TyperGroup):
    """All commands; an option that was given no value does not take the next option for one.

    `--report --no-gate` would write a page named `--no-gate` and keep the gate, and `--by a,b
    --share 0.1` take `--share` for the second of two models.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Look at the words before they are parsed."""
        _require_values(self, ctx, args)
        return super().parse_args(ctx, args)


def _require_values(command: Any, context: Any, words: Sequence[str]) -> None:
    """Refuse an option whose value is the name of another one, or two values in one word.

    Raises:
        BadParameter: There is such a one.
    """
    place = 0
    while place < len(words) and words[place] != "--":
        inner = getattr(command, "commands", {}).get(words[place])
        if inner is not None:
            command = inner
            context = typer.Context(inner, parent=context, info_name=words[place])
        known = {name: one for one in command.params for name in (*one.opts, *one.secondary_opts)}
        option = known.get(words[place])
        place += 1
        if option is None or getattr(option, "is_flag", False):
            continue
        takes = "a value" if option.nargs == 1 else f"{option.nargs} values, a space between them"
        for word in words[place : place + option.nargs]:
            if word.partition("=")[0] in {*known, "--help"} and word.startswith("-"):
                wrong = f"{option.opts[0]} takes {takes}, and '{word}' is an option of its own"
                raise typer.BadParameter(wrong, context, option)
            if option.nargs > 1 and "," in word:
                wrong = f"{option.opts[0]} takes {takes}, and '{word}' is one word"
                raise typer.BadParameter(wrong, context, option)
        place += option.nargs


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"unexplained {version('unexplained')}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    help="Hold explanations of neural networks to account: state one as code, put it in the "
    "component's place, and read off how much of the model's performance it accounts for.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class Kind(StrEnum):
    """Kinds of numbers that weights are read in."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


OUT = Visible()
TOLD = Visible(stderr=True)
"""Progress and asides: what is asked for alone goes where it can be piped on."""

ModelArgument = Annotated[
    str, typer.Argument(help="Packaged name, folder, .gguf file, hub id or testbed:NAME.")
]
TextName = Annotated[
    str, typer.Option(help="webmix, pydocs, handbook, parallel, repeats, or a file.")
]
Documents = Annotated[int, typer.Option(min=1, help="Documents to measure on, one block each.")]
FitDocuments = Annotated[int, typer.Option(min=1, help="Documents to fit means and maps on.")]
BlockSize = Annotated[
    int, typer.Option("--block", min=2, help="Greatest number of tokens in a block.")
]
Seed = Annotated[int, typer.Option(min=0, help="Draws documents, donors and the twin's weights.")]
Full = Annotated[bool, typer.Option(help="Print all of it, with what is folded on the page.")]
AcceptTerms = Annotated[
    bool, typer.Option("--accept-terms", help="Accept the model's licence terms.")
]
Of = Annotated[
    str, typer.Option("--section", help="Print all of this section alone, by its title or id.")
]
Out = Annotated[
    Path, typer.Option(help="Folder for page and record; numbered where their names are taken.")
]
Report = Annotated[
    Path | None, typer.Option(help="The page's own path; an earlier page there is replaced.")
]
RecordFile = Annotated[
    Path | None,
    typer.Option("--record", help="The record's own path; an earlier record there is replaced."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print the verdict and failed controls alone.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …; a GPU if there is one.")]
Dtype = Annotated[
    Kind, typer.Option(help="Of the weights. In half precision single effects are refused.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the record as JSON, and nothing else.")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would be measured, and about how long it takes."),
]
Cluster = Annotated[str, typer.Option(help="Address of a Ray cluster.")]
Memory = Annotated[
    float, typer.Option(help="Gigabytes of streams that may be held; the rest is computed again.")
]
RunFolder = Annotated[
    Path | None,
    typer.Option("--run", help="A folder for this run alone; by default the cache is shared."),
]


_HOW = {
    "out",
    "report",
    "record",
    "run",
    "full",
    "section",
    "quiet",
    "json",
    "workers",
    "cluster",
    "memory",
    "accept_terms",
    "graph",
    "dry_run",
}
"""Parameters that say where things go or who does the work, and not what is asked."""


@contextmanager
def kept(context: typer.Context, run: Path | None, **found: str) -> Iterator[Path | None]:
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


def shared_ledgers() -> Path | None:
    """Where finished measurements of all runs are kept; None where `UNEXPLAINED_KEEP=0` keeps none."""
    folder = kept_in(SHARED)
    if folder is not None:
        keeping(str(folder))
    return folder


def _told(value: object) -> str:
    some = value if isinstance(value, list | tuple) else [value]
    return " ".join(str(getattr(one, "value", one)) for one in some)


FILES = ".txt, .jsonl or .parquet"


def require_texts(*names: str, pairs: bool | None = False) -> None:
    """Refuse names of no text, before a model is loaded.

    Args:
        names: What was asked for.
        pairs: Whether behaviours and files of pairs are wanted: not, alone, or (None) as well.

    Raises:
        TextError: There is no such text.
    """
    from unexplained.errors import TextError, near_matches
    from unexplained.schemes import home_of_name
    from unexplained.text.corpora import corpus_of
    from unexplained.text.corpora import names as corpora
    from unexplained.text.named import is_pairs
    from unexplained.text.pairs import described

    for name in names:
        if name.lower().endswith((".txt", ".jsonl", ".parquet")) and not _exists(name):
            do = f"Look at the name and the folder. Wanted is {'.jsonl' if pairs else FILES}."
            raise TextError(f"The file '{name}'", "there is no such file", do)
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
        if home_of_name(name) is not None:
            is_pairs(name)  # which says so where there is none of that name
            continue
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
    from unexplained.explanations.stand_in import find_stand_in

    for name in names:
        path = name.partition(":")[0]
        if find_stand_in(name) is not None:
            continue
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
    from unexplained.explanations.files import OF_WORDS, find_explanation, needs

    all_found: list[Explanation] = []
    for name in names:
        words = subject.words if needs(name, OF_WORDS) else None
        found = find_explanation(name, text, words)
        if name.partition(":")[0].endswith(".py"):
            for note in again.require_same(name, found, subject.shape, text, words):
                TOLD.print(Words(note, style="dim"))
        all_found += found
    return all_found


def require_stand_ins(
    names: Iterable[str], subject: Subject, text: Text | None = None
) -> list[StandIn]:
    """Stand-ins by name (`projection:8`), and explanations as in `require_same`.

    Raises:
        ExplanationError: As there.
    """
    from unexplained.explanations.stand_in import find_stand_in

    every: list[StandIn] = []
    for name in names:
        known = find_stand_in(name)
        every += require_same([name], subject, text) if known is None else [known]
    return every


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print it, and end."),
    ] = False,
) -> None:
    """Options of the program itself."""


def between(low: float, high: float) -> Callable[[float], float]:
    """Refuses what does not lie between two numbers."""

    def require(value: float) -> float:
        if not low < value < high:
            raise typer.BadParameter(f"{value:g} does not lie between {low:g} and {high:g}.")
        return value

    return require
