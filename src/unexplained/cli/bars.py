"""`bars table`: the calculator of what share must be explained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from unexplained.cli.shared import OUT, app

bars_app = typer.Typer(help="Bars: what a fraction explained is worth in training compute.")
app.add_typer(bars_app, name="bars", no_args_is_help=True)


@bars_app.command("table")
def table(
    curve: Annotated[
        list[str] | None, typer.Option(help="kaplan, cerebras, hoffmann, besiroglu; all if none.")
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="A name (uniform, unigram, bigram, …) or name=nats, such as mine=7.2."),
    ] = None,
    strong: Annotated[float | None, typer.Option(help="FLOPs of the stronger model.")] = None,
    weak: Annotated[float | None, typer.Option(help="FLOPs of the weaker model.")] = None,
    fraction: Annotated[
        list[float] | None,
        typer.Option(help="Fractions explained, above 0 and up to 1, for the compute left."),
    ] = None,
) -> None:
    """Below which fraction explained a strong model falls to a weaker one, and what is left.

    Without --strong and --weak the two are GPT-4 and GPT-3.5 by published estimates.
    """
    from unexplained.curves import CURVES, FRACTIONS, GPT_4, GPT_35
    from unexplained.curves import table as rows_of

    _require_given(curve or (), baseline or (), strong, weak, fraction or ())
    curves = [CURVES[name] for name in curve or CURVES]
    baselines = [_baseline(text) for text in baseline or ("uniform", "unigram", "bigram")]
    fractions = fraction or list(FRACTIONS)
    above, below = (GPT_4 if strong is None else strong), (GPT_35 if weak is None else weak)
    shown = Table(
        title=f"From {above:.3g} to {below:.3g} FLOPs: the fraction explained that is needed "
        "not to fall below the weaker model, and the share of compute left at other fractions"
    )
    # Eighty columns hold it: fewer would cut digits off.
    shown.box, shown.padding = box.SIMPLE, 0
    shown.show_edge = shown.pad_edge = False
    for column in ("curve", "baseline", "nats", "needed", *(_heading(one) for one in fractions)):
        shown.add_column(column, justify="left" if column in ("curve", "baseline") else "right")
    notes: dict[str, None] = {}
    for row in rows_of(curves, baselines, strong=above, weak=below, fractions=fractions):
        star = "*" if row.extrapolated else ""
        far = row.left_extrapolated
        shown.add_row(
            row.curve + star, row.baseline, _said(row.apart.value) + star,
            _said(row.needed.value) + ("" if row.needed.value is None else star),
            *(_short(row.left[one].value) + ("*" if far[one] else "") for one in fractions),
        )  # fmt: skip
        refused = [row.needed.refused, *(number.refused for number in row.left.values())]
        notes |= dict.fromkeys(note for note in refused if note)
    OUT.print(shown)
    for note in notes:
        OUT.print(f"– refused: {note}", highlight=False)
    for one in curves:
        if one.fitted is not None:
            least, most = one.fitted
            OUT.print(f"{one.name}: fitted from {least:.2g} to {most:.2g} FLOPs ({one.source})",
                      highlight=False)  # fmt: skip
    OUT.print(
        "nats: the loss between the two. * extrapolated: a model, or what is left of its compute, lies "
        "beyond what the curve was fitted on. Published curves carry "
        "no interval here, and their tokens and texts differ from each other's and from the "
        "baselines': read the spread between rows as the least uncertainty there is.",
        highlight=False,
    )


def _require_given(
    curve: Sequence[str],
    baseline: Sequence[str],
    strong: float | None,
    weak: float | None,
    fraction: Sequence[float],
) -> None:
    """Refuse what is given twice, computes that are none, shares of more than all, unknown curves."""
    from unexplained.curves import CURVES
    from unexplained.errors import CurveError, near_matches, require_once

    require_once("curve", curve)
    require_once("baseline", [text.partition("=")[0] for text in baseline])
    # As many digits as tell them apart: 0.9999999 is not 1.
    require_once("fraction", [repr(one) for one in fraction])
    for option, given in (("--strong", strong), ("--weak", weak)):
        if given is not None and not 0 < given < math.inf:
            raise CurveError(
                f"{option} {given:g}", "a training compute is above 0 and finite", "Give FLOPs."
            )
    for share in fraction:
        if not 0 < share <= 1:
            raise CurveError(
                f"--fraction {share!r}", "it is not above 0 and at most 1",
                "Give a share, such as 0.99.",
            )  # fmt: skip
    for name in curve:
        if name not in CURVES:
            raise CurveError(f"The curve '{name}'", "none is published under that name",
                             near_matches(name, CURVES))  # fmt: skip


def _baseline(text: str):  # type: ignore[no-untyped-def]
    """A named baseline, or `name=nats`."""
    from unexplained.curves import BASELINES, Baseline
    from unexplained.errors import CurveError, near_matches

    if text in BASELINES:
        return BASELINES[text]
    name, found, value = text.partition("=")
    try:
        return Baseline(name, float(value))
    except ValueError:
        what = f"'{value}' is no number" if found else "there is none of that name"
        raise CurveError(
            f"The baseline '{text}'", what,
            near_matches(name, BASELINES) + " Or write name=nats, such as mine=7.2.",
        ) from None  # fmt: skip


def _heading(fraction: float) -> str:
    """A fraction that does not read as all.

    >>> _heading(0.99), _heading(0.9999999), _heading(1.0)
    ('0.99', '0.9999999', '1')
    """
    return "1" if fraction == 1 else repr(fraction)


def _said(value: float | None) -> str:
    """Three decimals, and more where those would read as nothing or all.

    >>> _said(0.158), _said(0.00003), _said(0.99996), _said(None)
    ('0.158', '0.00003', '0.99996', '–')
    """
    return "–" if value is None else f"{value:.{_decimals(value, 3)}f}"


def _short(value: float | None) -> str:
    """Two digits of a share, one with a power of ten where it is small; never all unless it is.

    >>> _short(0.27), _short(0.000081), _short(0.9996), _short(1.0)
    ('0.27', '8e-5', '0.9996', '1')
    """
    if value is None:
        return "–"
    if value < 0.01:
        return f"{value:.0e}".replace("e-0", "e-")
    text = f"{value:.2g}"
    return text if float(text) != 1 or value == 1 else f"{value:.{_decimals(value, 2)}f}"


def _decimals(value: float, least: int) -> int:
    """Decimals of a number that is neither 0 nor 1, nor reads as one."""
    from unexplained.shares import decimals_of

    return max(least, decimals_of(value) + 2)
