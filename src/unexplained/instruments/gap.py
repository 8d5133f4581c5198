"""`gap`: where the gap between a model and a weaker one lives (MISSION 12).

Neel Nanda: "it comes from a few crucial places where GPT-4 gets it right and GPT-3.5 gets it
wrong", against a gap of one per cent everywhere. Tokens are put in order by the gap of a second pair
of models, because in the order of their own losses chance differences look like concentration.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from unexplained import study
from unexplained.bars import spread
from unexplained.errors import MeasurementError, require_different, require_once
from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Block,
    Column,
    Prose,
    Table,
    fact,
    facts,
)
from unexplained.shares import percent, untold
from unexplained.study import Claims, Headline, Models, Option, Texts, arms, instrument, sheet
from unexplained.study.given import FAMILY, PythonOnly

if TYPE_CHECKING:
    from unexplained.bars.reading import Reading
    from unexplained.explanations import StandIn
    from unexplained.ladder.family import Family
    from unexplained.record.bars import Concentration, OverRuns
    from unexplained.sites import Site
    from unexplained.study import Run
    from unexplained.subject import Subject

ABLATION = "mean"
NOTHING = 0.01
"""An effective share that could be less than this, and all as well, says nothing."""
ModelPair = tuple["Subject", "Subject"]


@instrument("gap", model="rung-4", texts=Texts())
def gap(
    run: Run,
    weak: Annotated[Subject, Models("A weaker model with the same tokenizer.", default="rung-3")],
    *,
    chosen_by: Annotated[
        tuple[Subject, Subject],
        Models(
            "A second strong and weak model, which put the tokens in order.",
            option="--by",
            default=("rung-4-seed-1", "rung-3-seed-1"),
        ),
    ],
    seeds: Annotated[
        bool, Option("Measure other runs of two rungs that ship, or are given, with several seeds.")
    ] = True,
    family: Annotated[Family | None, FAMILY] = None,
    runs: Annotated[Sequence[tuple[Subject, Subject]], PythonOnly()] = (),
    sites: Annotated[str, Option("Components to be explained on the crucial tokens.")] = "",
    explanations: Annotated[
        Sequence[StandIn],
        Claims("A library name or my.py.", option="--explanation", default=("strict_induction",)),
    ],
    share: Annotated[float, Option("Share of the tokens that are crucial.", between=(0, 1))] = 0.05,
) -> Iterator[Block | Headline]:
    """How concentrated the gap to a weaker model is: a few tokens, or a little everywhere.

    Args:
        run: The strong model, and a text.
        weak: A weaker one with the same tokenizer.
        chosen_by: A second strong and weak model, neither of them one of the first two: other
            seeds, or other rungs. They put the tokens in order.
        seeds: Whether to measure the other runs of both that ship, where no others are given.
        family: Models among which other runs of both are looked for, those of equal compute; the
            ladder if not given.
        runs: Other runs of the two, strong and weak, that differ by their seed alone; two or more.
            Over them and the two it is said how large the gap is and how concentrated, other seeds
            counted. The choosing pair may be among them.
        sites: Components to be explained on the crucial tokens; none if empty.
        explanations: What is claimed of them.
        share: Of all tokens, how many are crucial.

    Raises:
        MeasurementError: The models' tokenizers differ, or two of them are one model; the share is
            not between 0 and 1; there is one other run.
        ExplanationError: One cannot stand at a component.
        SiteError: A component does not exist.
        TextError: The text is of other models' tokens. All before anything is run.
    """
    strong = run.subject
    pairs = list(runs) or (_other_runs(run, weak, chosen_by, family) if seeds else [])
    second = (chosen_by[0].name, chosen_by[1].name)
    beside = [one for pair in pairs for one in pair if one not in chosen_by]
    where = _asked(run, weak, chosen_by, pairs, beside, sites, explanations, share)
    others = [arms.model(one) for one in (weak, *chosen_by, *beside)]
    claims = arms.claims(run, where, explanations, against=ABLATION) if sites else []
    fill = [arms.ablation(run, ABLATION, where)] if sites else []
    every = [*others, *fill, *claims]
    read = run.measure(*every, tokens=["intact", *(one.name for one in every)])
    concentrated = read.concentration("intact", weak.name, chosen_by=second)
    flattered = read.concentration("intact", weak.name)
    over = _over(read, strong, weak, pairs) if pairs else None
    yield Headline(
        f"Where the gap of {strong.name} to {weak.name} lives",
        _verdict(concentrated, over, strong.name, weak.name),
    )
    yield _answer(concentrated, over)
    yield _facts(run, read, weak.name, second, concentrated)
    yield Prose(words=_over_runs(over, strong.name, weak.name))
    if over is not None:
        yield _runs(over)
    yield spread.curve(concentrated, flattered)
    yield spread.orders(concentrated, flattered, second)
    yield spread.signs(concentrated, strong.name, weak.name)
    if sites:
        tokens = read.crucial(*second, share)
        found = [read.recovered_on(c.name, ABLATION, tokens, weak.name) for c in claims]
        yield spread.crucial(found, list(map(str, where)))
    yield from (Prose(words=note, manner="aside") for note in run.text.notes)


def _asked(
    run: Run,
    weak: Subject,
    chosen_by: ModelPair,
    runs: Sequence[ModelPair],
    beside: Sequence[Subject],
    sites: str,
    explanations: Sequence[StandIn],
    share: float,
) -> Sequence[Site]:
    """What cannot be measured is refused before anything is run; the components are given."""
    asked = study.asked
    asked.require_share(share)
    _require_models(run.subject, weak, chosen_by, runs, beside)
    where = asked.components(run.subject, sites) if sites else ()
    if sites:
        named = [weak.name, *(one.name for one in (*chosen_by, *beside))]
        _require_claims(run, where, explanations, named)
    asked.require_beside(run.subject, run.text, (weak, *chosen_by, *beside), fits=bool(sites))
    return where


def _other_runs(
    run: Run, weak: Subject, chosen_by: ModelPair, family: Family | None
) -> list[ModelPair]:
    """Other runs of two rungs that have several, those of the choosing pair as given."""
    from unexplained.ladder.family import shipped_beside

    among = family or shipped_beside(run.subject)
    known = {one.name: one for one in (run.subject, weak, *chosen_by)}
    opens = {one.name: one.open for one in among.members}
    pairs = among.other_runs(run.subject.name, weak.name)
    return [tuple(known.get(one) or opens[one]() for one in pair) for pair in pairs]  # type: ignore[misc]


def _require_models(
    subject: Subject,
    weak: Subject,
    chosen_by: tuple[Subject, Subject],
    runs: Sequence[tuple[Subject, Subject]],
    beside: Sequence[Subject],
) -> None:
    """Refuse models that are in two pairs, and one other pair of runs."""
    second = (chosen_by[0].name, chosen_by[1].name)
    if shared := {subject.name, weak.name} & set(second):
        raise MeasurementError(
            f"{second[0]} and {second[1]} as the pair that chooses",
            f"{shared.pop()} is also one of the pair that is scored: chance would choose",
            "Give other seeds of the two, or other rungs.",
        )
    require_once("run", [subject.name, weak.name, *(one.name for pair in runs for one in pair)])
    every = (subject, weak, *chosen_by, *beside)
    require_once("model", [one.name for one in every])
    require_different((one.name, one.fingerprint) for one in every)
    if len(runs) == 1:
        raise MeasurementError(
            "One other run of both models", "two numbers do not say how runs scatter",
            "Give two other pairs of runs or more, or none.",
        )  # fmt: skip


def _require_claims(
    run: Run, where: Sequence[Site], claimed: Sequence[StandIn], named: Sequence[str]
) -> None:
    """Refuse what cannot be claimed of the components, and names that are taken."""
    asked = study.asked
    asked.require_claims(claimed)
    require_once("condition", [*asked.TAKEN, ABLATION, *named, *(e.name for e in claimed)])
    asked.require_standing(claimed, where, run.subject)
    # Every claim has a control that takes values from other documents.
    asked.require_donors(run.text, within=True)
    if len(where) == 1:
        run.subject.require_full_precision("The effect of a single component")


def _over(read: Reading, strong: Subject, weak: Subject, runs: Sequence[ModelPair]) -> OverRuns:
    """The gap over all pairs of runs, under the models' own names."""
    others = [(one.name, two.name) for one, two in runs]
    found = read.over_pairs([("intact", weak.name), *others])
    return found.model_copy(update={"pairs": ((strong.name, weak.name), *others)})


def _answer(concentrated: Concentration, over: OverRuns | None) -> Answer:
    """How large the gap is and how concentrated: of these two models, and over pairs of runs."""
    mine, runs = "orders/concentration", "runs"
    rows = [
        ("Net gap, nats per token", "facts/gap/is", f"{runs}/gap/is"),
        ("Effective share of the tokens", f"{mine}/effective/second", f"{runs}/effective/is"),
        ("Concentration factor (1: an even gap)", f"{mine}/factor/second", f"{runs}/factor/is"),
        ("Tokens where the strong model is worse", "signs/signs/worse/is", f"{runs}/worse/is"),
        *(
            (f"Tokens carrying {fmt.tick(float(share), share=True)} of the gap",
             f"{mine}/carrying-{share}/second", None)
            for share in concentrated.carrying
        ),
    ]  # fmt: skip
    one = Column(key="pair", heading="These two models")
    every = Column(key="runs", heading="Over runs", note="other seeds counted")
    return Answer(
        columns=(one,) if over is None else (every, one),
        rows=tuple(
            AnswerRow(name=name, cells=(own,) if over is None else (other, own))
            for name, own, other in rows
        ),
        picture="curve/chart",
    )


def _verdict(concentrated: Concentration, runs: OverRuns | None, strong: str, weak: str) -> str:
    gap, effective, of = concentrated.gap, concentrated.effective, f"{strong} and {weak}"
    after = ". Of these two models: how much other seeds would move it is not known."
    if runs is not None:
        gap, effective, many = runs.gap, runs.effective, len(runs.pairs)
        after = f"; over {many} pairs of runs, other documents and other seeds counted."
    if why := untold(gap):
        return f"The gap between {of} is refused: {why}."
    size = f"{fmt.written(gap)} nats per token"
    if why := untold(effective):
        return f"The gap between {of} is {size}{after} How it is spread is refused: {why}."
    return f"The gap between {of}, {size}, {_carried(effective)}{after}"


def _carried(effective: Number) -> str:
    if (effective.low or 0.0) < NOTHING and effective.high == 1:
        return (
            "is not told to be spread in any way: as if anything from a few of the tokens to all "
            "carried it evenly"
        )
    if effective.high == 1:
        return (
            "is not told from one that all tokens carry evenly: as if "
            f"{percent(effective)} of them carried it"
        )
    return f"is as concentrated as if {percent(effective)} of the tokens carried all of it evenly"


def _facts(
    run: Run, read: Reading, weak: str, second: tuple[str, str], concentrated: Concentration
) -> Table:
    return facts(
        "facts",
        fact("strong", "Strong model", run.subject.name),
        fact("strong-loss", "Loss of the strong model", read.loss()),
        fact("weak", "Weaker model", weak),
        fact("weak-loss", "Loss of the weaker model", read.loss(weak)),
        fact("gap", "Net gap", concentrated.gap),
        *sheet.of_text(run.text),
        fact("second", "Second pair, which puts the tokens in order", " and ".join(second)),
    )


def _over_runs(runs: OverRuns | None, strong: str, weak: str) -> str:
    """What other runs of both models say."""
    if runs is None:
        return (
            f"All of this is of {strong} and {weak} alone: how much other seeds of "
            "training would move it is not known."
        )
    others = "; ".join(f"{one} and {two}" for one, two in runs.pairs[1:])
    return (
        f"With other runs of both ({others}), other documents and other seeds counted, they are as "
        f"below. Everything else is of {strong} and {weak} alone."
    )


def _runs(runs: OverRuns) -> Table:
    return facts(
        "runs",
        fact("gap", "Net gap", runs.gap),
        fact("worse", "Tokens where the strong model is worse", runs.worse),
        fact("factor", "Concentration factor", runs.factor),
        fact("effective", "Effective share", runs.effective),
        title=f"Over {len(runs.pairs)} pairs of runs",
    )
