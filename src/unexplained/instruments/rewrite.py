"""`rewrite`: more and more of a model replaced by stated explanations, and what it is then worth.

Components are replaced in random orders, not in the order of how well they are explained, so
that the curve says what an arbitrary component's explanation is worth (Ryan Greenblatt: "explain
arbitrary components of GPT2-medium enough to perform as well as GPT2-sm"; MISSION 9, 10). For every
component the best of the library's rules is chosen by its loss alone on the fit part; mean ablation
is among the choices, so an explanation is never worse there than none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from unexplained import study
from unexplained.bars import replaced, scales
from unexplained.bars.cards import claimed_of
from unexplained.bars.standing import standing
from unexplained.errors import require_count, require_once
from unexplained.record import Counted, Number
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Block,
    Column,
    Prose,
    Row,
    Section,
    Table,
    fact,
    facts,
)
from unexplained.record.tables import counted
from unexplained.shares import untold
from unexplained.study import Claims, Headline, Option, Texts, arms, instrument, sheet
from unexplained.study.given import FAMILY, PythonOnly

if TYPE_CHECKING:
    from unexplained.bars.cards import Card
    from unexplained.bars.orders import Step
    from unexplained.bars.reading import Reading
    from unexplained.explanations import Explanation, StandIn
    from unexplained.ladder.family import Family
    from unexplained.sites import Site
    from unexplained.study import Arm, Run
    from unexplained.study.choosing import Choice, Chosen

MANY = 24
"""Components beyond which their list is folded."""
COUNTED = ("bigram", "trigram")
"""Tables of counts that a whole explained model is held against in a sentence."""
STREAM = 9
"""Of random numbers: the orders depend on no other draws."""


@instrument("rewrite", texts=Texts())
def rewrite(
    run: Run,
    *,
    sites: Annotated[
        str, Option('What may be replaced: "L*.H*", or with MLPs "L*.H* L*.mlp".')
    ] = "L*.H*",
    programs: Annotated[
        Sequence[Explanation],
        Claims(
            "my.py: a program for the whole model; may be given again.",
            option="--program",
            default=(),
        ),
    ],
    explanations: Annotated[Sequence[StandIn] | None, PythonOnly()] = None,
    family: Annotated[Family | None, FAMILY] = None,
    draws: Annotated[int, Option("Random orders.", least=1)] = 3,
) -> Iterator[Block | Headline]:
    """Replace random components by stated explanations, until all are, beside weaker models.

    For every head the best of the library's rules is chosen on the fit part; MLPs have no
    stated explanation and are replaced by their mean.

    Args:
        run: The model, and a text; what is chosen and fitted is so on its fit part.
        sites: The components that may be replaced: heads, and MLPs by their mean.
        programs: Written programs, each offered in the place of the whole model.
        explanations: What may be put in a head's place; the library's rules if not given.
        family: Weaker models that losses are placed among; the ladder's if not given.
        draws: Random orders.

    Raises:
        ExplanationError: One cannot stand where it is to, two share a name, or a program gives no
            logits.
        MeasurementError: A number is out of bounds, two models share a name, or the model is in
            half precision; a loss is not finite. All but the last before anything is run.
        UnexplainedError: As in `require_choosing`.
    """
    from unexplained.study.axis import axis_of
    from unexplained.study.choosing import choose, rules

    claimed = rules() if explanations is None else explanations
    where = _asked(run, sites, family, claimed, programs, draws)
    axis = axis_of(run, family)
    chosen = choose(run, where, claimed)
    together = _replaced(run, chosen, where, draws)
    tables = arms.tables(run)
    written = [arms.program(run, one) for one in programs]
    read = run.measure(
        *(one for pair in together.values() for one in pair), *tables, *axis.arms, *written,
        tokens=axis.tokens(), what=f"rewriting on {run.text.name}",
    )  # fmt: skip
    read = axis.read(read)
    rivals, seeds = axis.compared, axis.seeds(read)
    steps = read.in_orders({at: (one.name, two.name) for at, (one, two) in together.items()},
                       rivals, seeds)  # fmt: skip
    whole, bases = everything(len(where), "explained"), [one.name for one in tables]
    rungs = _weakest_first({name: read.loss(name) for name in rivals})
    yield Headline(
        f"{run.subject.name} rewritten", _verdict(read, whole, _place(steps), len(where))
    )
    against = _against({name: read.loss(name) for name in bases}, rungs, read.loss(),
                       [one.card.counted for one in tables if one.card.counted])  # fmt: skip
    yield replaced.answer(steps, against, _claims(claimed, chosen.choices))
    yield _facts(run, len(where), chosen.bits)
    yield replaced.losses(steps, against)
    if rungs:
        itself = {name: read.place(name, rivals, seeds).place for name in rungs}
        yield replaced.break_even(steps, rungs, itself, read.loss())
    if written:
        yield _programs([one.card for one in written])
    placed = [whole, *(one.name for one in written)]
    if scale := axis.scale(read, [whole, *bases, *placed[1:]]):
        yield scales.compute(scale, dict.fromkeys(placed, "explanation"))
    if written:
        every = [one.name for arm in written for one in (arm, *arm.controls)]
        yield standing(read.bars(every, bases, rivals, seeds))
    yield _choices(chosen.choices)
    yield from (Prose(words=note, manner="aside") for note in (*run.text.notes, *axis.notes))


def _asked(
    run: Run,
    sites: str,
    family: Family | None,
    claimed: Sequence[StandIn],
    programs: Sequence[Explanation],
    draws: int,
) -> tuple[Site, ...]:
    """What cannot be measured is refused before anything is run; the components are given."""
    from unexplained.study.choosing import require_choosing

    asked = study.asked
    require_count("draws", draws, least=1)
    asked.require_claims(programs, program=True)
    names = [name for one in programs for name in (one.name, one.on_shuffled().name)]
    require_once("prediction", [*asked.TAKEN, *names])
    asked.require_apart(family, [*asked.TAKEN, *names])
    where = require_choosing(run.subject, run.text, sites, claimed, run.folder)
    if programs:
        asked.require_donors(run.text)
    return where


def _replaced(
    run: Run, chosen: Chosen, where: Sequence[Site], draws: int
) -> dict[tuple[int, int], tuple[Arm, Arm]]:
    """For every order and count, the model with explanations in place and with means."""
    import numpy as np

    from unexplained.study.choosing import counts_of

    rng, found = np.random.default_rng([run.settings.seed, STREAM]), {}
    for order in range(draws):
        drawn = [where[i] for i in rng.permutation(len(where))]
        for count in counts_of(len(where)):
            found[order, count] = _pair(run, chosen, sorted(drawn[:count], key=str), len(where))
    return found


def _pair(run: Run, chosen: Chosen, some: Sequence[Site], components: int) -> tuple[Arm, Arm]:
    """Some components together: explained, and ablated."""
    whole = everything(components, "explained")
    if len(some) == components:
        return arms.replaced(run, chosen, (whole, everything(components, "ablated")), some)
    # By the components themselves: two orders share their last step, and are then one condition.
    named = " ".join(map(str, some))
    return arms.replaced(run, chosen, (f"explained: {named}", f"ablated: {named}"), some, of=whole)


def everything(components: int, kind: str) -> str:
    """What the whole replaced model is called: by how many parts it has, not by all their names."""
    return f"all {components:,} components {kind}"


def _weakest_first(losses: Mapping[str, Number]) -> dict[str, Number]:
    """Weaker models by their losses."""
    return dict(sorted(losses.items(), key=lambda item: -(item[1].value or 0.0)))


def _place(steps: Sequence[Step]) -> str | None:
    """Where the model with everything replaced stands among weaker ones, if there are any."""
    whole = max(steps, key=lambda step: step.count)
    return None if whole.place is None else whole.place.place


def _standing(place: str) -> str:
    """A place as the rest of a sentence: a tie is no equality, it is not told."""
    if place.startswith("ties with "):
        return f"it cannot be told apart from {place.removeprefix('ties with ')}"
    ends = {"below all": "it is worse than all", "above all": "it is better than all"}
    return ends.get(place, f"it is {place}")


def _verdict(read: Reading, whole: str, place: str | None, components: int) -> str:
    cost = read.increase(whole)
    if why := untold(cost):
        return f"What replacing all {components} components costs is refused: {why}."
    said = (
        f"With all {components} components replaced the loss rises by "
        f"{fmt.written(cost)} {cost.unit} to "
        f"{fmt.written(read.loss(whole))}"
    )
    if place is not None:
        said += f"; among the weaker models {_standing(place)}"
    told: dict[str, list[str]] = {}
    for table in COUNTED:
        above = read.increase(whole, over=table)
        if above.low is not None and above.high is not None:
            way = "lower than" if above.high < 0 else "higher than" if above.low > 0 else ""
            told.setdefault(f"for certain {way}" if way else "within noise of", []).append(table)
    for way, tables in told.items():
        said += f"; its loss is {way} that of a {' and of a '.join(tables)} table"
    return said + "."


def _facts(run: Run, components: int, bits: int) -> Table:
    return facts(
        "facts",
        fact("model", "Model", run.subject.name),
        *sheet.of_text(run.text),
        fact("components", "Components", components),
        fact("bits", "Description length of all explanations", f"{fmt.count(bits)} bits"),
    )


def _against(
    tables: Mapping[str, Number],
    rungs: Mapping[str, Number],
    intact: Number,
    known: Sequence[Counted] = (),
) -> Table:
    """Losses that those of every step are held against."""
    return Table(
        key="against",
        title="What these losses are held against",
        caption=counted(known),
        corner="Model or table",
        columns=(Column(key="loss", heading="Loss", note=intact.unit),),
        rows=(
            *(Row(key=name, name=name, note="table", role="baseline", cells=(loss,))
              for name, loss in tables.items()),
            *(Row(key=f"weaker {name}", name=name, note="weaker model", role="weaker", cells=(loss,))
              for name, loss in rungs.items()),
            Row(key="intact", name="intact", role="intact", cells=(intact,)),
        ),
    )  # fmt: skip


def _programs(cards: Sequence[Card]) -> Section:
    return Section(
        key="programs",
        title="Written programs in the place of the whole model",
        blocks=(
            Prose(
                words="Each predicts the next token from the tokens before it and what it counted on "
                "the fit part; nothing of the model is left. Shuffled, a control: the same program "
                "reading another document, out of order, has to do worse. Their losses are among "
                "the bars below."
            ),
            Table(
                key="lengths",
                corner="Program",
                columns=(
                    Column(key="bits", heading="Description, bits"),
                    Column(key="code", heading="Bits of code"),
                    Column(key="parameters", heading="Bits of parameters"),
                    Column(key="tokens", heading="Calibrated on tokens"),
                ),
                rows=tuple(
                    Row(key=card.name, name=card.name, note=card.says, role="explanation",
                        cells=(length.bits, length.code_bits, length.parameter_bits, card.fit_tokens))
                    for card in cards if (length := card.description)
                ),
            ),
        ),
    )  # fmt: skip


def _claims(claimed: Sequence[StandIn], choices: Sequence[Choice]) -> str:
    """What those that were chosen say, the commonest first."""
    often = Counter(choice.explanation for choice in choices)
    used = [one for one in claimed if often[one.name]]
    used.sort(key=lambda one: -often[one.name])
    return claimed_of((one.name, one.says) for one in used)


def _choices(choices: Sequence[Choice]) -> Section:
    often = Counter(choice.explanation for choice in choices).most_common()
    return Section(
        key="choices",
        title="Explanations in place",
        blocks=(
            Prose(
                words="Chosen component by component, each alone, by the loss on the fit part: "
                + ", ".join(f"{name} {n:,}" for name, n in often)
                + ". Where it says mean, no explanation did better than claiming nothing."
            ),
            Table(
                key="chosen",
                title=f"All {len(choices):,} components",
                caption="Increase over intact with that component alone replaced, in nats per token "
                "on the fit part.",
                corner="Component",
                columns=(
                    Column(key="explanation", heading="Explanation", words=True),
                    Column(key="increase", heading="It costs", style="signed"),
                    Column(key="mean", heading="Its mean costs", style="signed"),
                    Column(key="saved", heading="Saved", style="signed"),
                ),
                rows=tuple(
                    Row(key=c.site, name=c.site,
                        cells=(c.explanation, c.increase, c.mean, c.mean - c.increase))
                    for c in choices
                ),
                folded=len(choices) > MANY,
            ),
        ),
    )  # fmt: skip
