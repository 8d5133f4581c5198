"""`bars curve`: measure a family of models and fit loss against training compute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unexplained.cli.bars import bars_app
from unexplained.cli.progress import Progress
from unexplained.cli.shared import (
    RecordFile,
    Report,
    Run,
    Seed,
    Terms,
    kept,
    require_models,
    require_texts,
    writing,
)

if TYPE_CHECKING:
    from unexplained.assays.family import Member


@bars_app.command("curve")
def curve(
    context: typer.Context,
    models: Annotated[
        list[str],
        typer.Argument(
            help="MODEL=FLOPS or MODEL=PARAMETERSxTOKENS, such as pythia-70m=70e6x300e9 (then "
            "C = 6·N·D); a rung of the ladder needs no number."
        ),
    ],
    place: Annotated[
        list[str] | None, typer.Option(help="A model to be placed on the curve, not part of it.")
    ] = None,
    text: Annotated[str, typer.Option(help="webmix, pydocs, or a file of yours.")] = "webmix",
    documents: Annotated[int, typer.Option(min=1, help="Beginnings of so many documents.")] = 64,
    characters: Annotated[int, typer.Option(min=128, help="Greatest length of a beginning.")] = 600,
    extrapolate: Annotated[
        bool, typer.Option("--extrapolate", help="Place also beyond the models; it is marked.")
    ] = False,
    seed: Seed = 0,
    accept_terms: Terms = False,
    run: Run = None,
    report: Report = Path("curve.html"),
    record: RecordFile = Path("curve.json"),
) -> None:
    """Fit loss against training compute through models of any tokenizers, in bits per byte.

    All models are measured on the same characters, one after another.
    """
    from unexplained.assays.family import family
    from unexplained.stats import Settings

    members = [_member(asked, accept_terms, curve=True) for asked in models]
    members += [_member(asked, accept_terms, curve=False) for asked in place or []]
    with writing(report, record) as made, Progress() as progress, kept(context, run) as folder:
        require_texts(text)
        require_models(*(member.name for member in members))
        made.append(
            family(
                members, text, documents=documents, characters=characters,
                extrapolate=extrapolate, settings=Settings(seed=seed), folder=folder,
                say=progress,
            )
        )  # fmt: skip


def _member(asked: str, accept_terms: bool, *, curve: bool) -> Member:
    import unexplained as ux
    from unexplained.assays.family import Member

    name, compute = _named(asked) if curve else (asked, None)
    return Member(name, lambda: ux.load(name, accept_terms=accept_terms), compute)


def _named(asked: str) -> tuple[str, float]:
    """A model and its training compute: given, 6·N·D, or the ladder's own."""
    from unexplained.errors import CurveError, SubjectError
    from unexplained.ladder.catalogue import catalogue

    name, _, number = asked.rpartition("=")
    if not name or Path(asked).exists():
        try:
            return asked, catalogue().named(asked).compute
        except SubjectError:
            raise CurveError(
                f"The model '{asked}' on a curve",
                "its training compute is not given",
                f"Write {asked}=FLOPS or {asked}=PARAMETERSxTOKENS, or give it with --place.",
            ) from None
    try:
        size, times, tokens = number.partition("x")
        factors = [float(size), float(tokens)] if times else [float(number)]
        if min(factors) <= 0:
            raise ValueError
        return name, 6 * factors[0] * factors[1] if times else factors[0]
    except ValueError:
        raise CurveError(
            f"The training compute of {name}",
            f"'{number}' is neither a number above 0 nor two joined by x",
            f"Write {name}=1e20, or {name}=70e6x300e9 for parameters and tokens.",
        ) from None
