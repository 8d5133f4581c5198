"""`sweep`: what every component does alone, and the strongest together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_args

from unexplained.errors import TextError, require_choice, require_count
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Block,
    Prose,
    Row,
    Section,
    Table,
    fact,
    facts,
)
from unexplained.shares import untold
from unexplained.study import Headline, Option, Texts, instrument
from unexplained.study.given import BESIDE

if TYPE_CHECKING:
    from unexplained.bars import Effect
    from unexplained.bars.effects import Estimation, Swept
    from unexplained.ladder.family import Family
    from unexplained.study import Run
    from unexplained.study.sweeping import Sweeping

PRICED = (
    "Without its strongest components the model has the loss of one that was trained with less: how much "
    "less, a curve through the models of the family says. On the documents that did not choose them."
)
SweepMethod = Literal["exact", "control variates", "race"]


def _names(given: Mapping[str, Any]) -> None:
    """Refuse an ablation, a measure or a text that does not go with the others."""
    from unexplained.ablations import ABLATIONS
    from unexplained.bars.measures import measure_of
    from unexplained.study.sweeping import require_priced
    from unexplained.text.named import is_pairs

    ablation, pairs = given["ablation"], is_pairs(given["text"])
    if ablation:
        ABLATIONS.get(ablation)
    if given["measure"]:
        measure_of(given["measure"], pairs=pairs)
    if given["family"]:
        require_priced(pairs=pairs)
    if (given["swapped"] or ablation == "patch") and not pairs:
        raise TextError(
            f"{'--swapped' if given['swapped'] else '--ablation patch'} on {given['text']}",
            "it is running text, not pairs of prompts",
            "Use a behaviour, such as ioi.",
        )


@instrument(
    "sweep",
    precise="A sweep",
    before=_names,
    texts=Texts(
        documents=32,
        fit_documents=32,
        pairs=None,
        fewest=10,
        why="Documents to measure on: half choose the strongest, the other half reports on them.",
        fits=lambda given: given["ablation"] not in ("", "patch"),
    ),
)
def sweep(
    run: Run,
    sites: Annotated[
        str, Option('Components, e.g. "L*.H*", "L*.mlp L*.attn" or "L5.N0-99".')
    ] = "L*.H*",
    *,
    ablation: Annotated[
        str, Option("In their place: zero, mean, position mean, resample; of pairs patch.")
    ] = "",
    measure: Annotated[str, Option("loss, KL, accuracy; of pairs logit difference.")] = "",
    method: Annotated[
        SweepMethod,
        Option("Exact, or cheaper with a stated error."),
    ] = "exact",
    sample: Annotated[
        int | None,
        Option("Documents on which a cheaper method measures everything.", least=5),
    ] = None,
    keep: Annotated[int, Option("How many of the strongest a race looks for.", least=1)] = 20,
    pairs: Annotated[int, Option("Of how many of the strongest to take pairs.", least=0)] = 5,
    swapped: Annotated[
        bool, Option("Run the corrupted prompts: what patching brings back.")
    ] = False,
    gated: Annotated[
        bool, Option("Refuse a behaviour that the model does not have.", option="--gate/--no-gate")
    ] = True,
    family: Annotated[Family | None, BESIDE] = None,
    twin: Annotated[bool, Option("Measure a model with random weights beside it.")] = True,
) -> Iterator[Block | Headline]:
    """Ablate every component alone, then the strongest together: which matter, on this text?

    With intervals, corrected for the number of components. Of a behaviour, documents are pairs with
    their role-swaps; components are patched from the corrupted prompts and the logit difference is
    measured, unless said otherwise.

    By default effects of single components are exact and complete: all are reported, so nothing is
    selected, and p-values are corrected for their number (Benjamini and Hochberg 1995; under
    dependence like this, of documents shared by all, the rate is held approximately). Other
    methods cost less and state their error (`study.sweeping`). A component that looks harmless
    alone may have stand-ins: see what the strongest do together.

    Args:
        run: The model, and running text or pairs of prompts. Fills are fitted on its fit part;
            `patch` takes the values of the corrupted prompts.
        sites: The components.
        ablation: What stands in their place; by default the mean, of pairs `patch`.
        measure: By default the loss, of pairs the logit difference.
        method: `exact`; `control variates`, exact on a random sample of documents and attribution
            on all; `race`, all components on a sample, those that could be strong on the rest.
        sample: Documents of the sample; by default a quarter of all.
        keep: How many of the strongest a race looks for.
        pairs: For how many of the strongest every pair is ablated too.
        swapped: Of pairs, run the corrupted prompts and take values from the clean ones.
        gated: Refuse pairs on which the model prefers the answer no more often than chance; what
            is swapped has no behaviour and is not asked for one.
        family: Weaker models among which the strongest together are placed, on the documents that did
            not choose them; none if not given.
        twin: Whether to ablate the same components of the random-weight twin, each alone and
            exactly, on few documents.

    Raises:
        SiteError: A component does not exist.
        AblationError: There is no such ablation, or it cannot be fitted at a component.
        TextError: The text has too few documents to choose on one half and report on the other,
            or no pairs to patch, or is of another model's tokens.
        MeasurementError: There is no such measure or method, or a number is out of bounds; a
            number is not finite; what is finished cannot be kept; the model does not have the
            behaviour. All but the last three before anything is run.
    """
    from unexplained.study import sweeping

    require_choice("method", method, get_args(SweepMethod))
    require_count("keep", keep, least=1)
    require_count("pairs", pairs, least=0)
    if sample is not None:
        require_count("sample", sample, least=1)
    at = run.on(run.text.swapped()) if swapped else run
    of_pairs = at.text.pairs
    sweep = sweeping.Sweeping.asked(
        at, sites, ablation or ("patch" if of_pairs else "mean"),
        measure or ("logit difference" if of_pairs else "loss"),
    )  # fmt: skip
    some = max(len(at.text.units) // 4, 2) if sample is None else sample
    if method != "exact":
        sweeping.require_sample(sweep, method, some)
    if gated and not swapped:
        sweep.require_behaviour()
    sweep = sweep.among(family, method, some)
    if method == "control variates":
        found = sweeping.control_variates(sweep, some, pairs)
    elif method == "race":
        found = sweeping.race(sweep, some, keep, pairs)
    else:
        found = sweeping.exact(sweep, pairs)
    beside = _twin_of(sweep) if twin else None
    yield Headline(_title(sweep, sites), _verdict(found.effects, sweep), _sheet(sweep, beside))
    yield from blocks(sweep, found, beside)


class TwinSweep(NamedTuple):
    """The same components of a model with random weights, each alone."""

    sweep: Sweeping
    found: Swept


def _twin_of(sweep: Sweeping) -> TwinSweep:
    from unexplained.study.sweeping import on_twin
    from unexplained.study.twins import TWIN

    with sweep.run.timed(TWIN):
        other = sweep.twin
        return TwinSweep(other, on_twin(other))


def _title(sweep: Sweeping, sites: str) -> str:
    patch = sweep.ablation == "patch"
    verb = "Patching" if patch else f"{sweep.ablation.capitalize()} ablation"
    return f"{verb} of {sites} in {sweep.run.subject.name}"


def _verdict(effects: Sequence[Effect], sweep: Sweeping) -> str:
    from unexplained.bars.effects import RATE

    # What a race chose on flatters or slights: it has no q and is no effect measured.
    tested = [effect for effect in effects if effect.q is not None]
    told = [effect for effect in tested if effect.told]
    up = sum((effect.change.value or 0) > 0 for effect in told)
    worst = max(tested or effects, key=lambda effect: abs(effect.change.value or 0))
    what = "patching" if sweep.ablation == "patch" else f"{sweep.ablation} ablation"
    first = sum(effect.ranks is not None and effect.ranks[0] == 1 for effect in effects)
    change = worst.change
    size = f"{fmt.written(change, spec='.2g')} {sweep.measure.unit}"
    if why := untold(change):
        size = f"which is refused: {why}"
    # The largest of many looks larger than it is, on the documents that made it the largest.
    largest = f"The largest effect measured is that of {worst.site}, {size}"
    if first:
        largest += (
            "; no other could be larger"
            if first == 1
            else f"; {first} components could be the largest"
        )
    of = f"{len(tested)} components"
    if len(tested) < len(effects):
        of += f" ({len(effects) - len(tested)} more lost the race)"
    return (
        f"On {sweep.text.name}, {what} of {len(told)} of {of} does more than noise would (with a rate "
        f"of {RATE:.0%} of chance findings among them): {up} raise the {sweep.measure.name} and "
        f"{len(told) - up} lower it. {largest}."
    )


def _sheet(sweep: Sweeping, twin: TwinSweep | None) -> dict[str, str]:
    """What was measured on."""
    found = sweep.run.sheet
    if twin is not None:
        subject, text = twin.sweep.run.subject, twin.sweep.text
        found |= {
            subject.name: subject.fingerprint,
            f"Text {text.name}, for random weights": text.fingerprint,
        }
    return found


def blocks(sweep: Sweeping, found: Swept, twin: TwinSweep | None) -> Iterator[Block]:
    """What was found, as blocks."""
    from unexplained.bars import components, joints, scales

    beside = None if twin is None else twin.found
    (intact, *_) = _intact(sweep, found)
    yield components.answer(found, beside, intact.name)
    yield _facts(sweep, found)
    if found.estimation is not None:
        yield _estimation(found.estimation)
    done = "patched" if sweep.ablation == "patch" else "ablated"
    yield components.alone(found, beside, done, _units(sweep), sweep.run.settings.level)
    if (both := found.together) is not None and (both.joints or both.couples):
        yield joints.together(both, sweep.measure, _units(sweep))
        if both.scale is not None:
            names = [joints.without(len(one.sites)) for one in both.joints]
            yield scales.compute(both.scale, dict.fromkeys(names, "ablation"), asked=PRICED)
    if twin is not None:
        yield _twin(twin)
    yield from (Prose(words=note, manner="aside") for note in sweep.text.notes)


def _units(sweep: Sweeping) -> str:
    return "orbits of pairs" if sweep.text.pairs else "documents"


def _intact(sweep: Sweeping, found: Swept) -> tuple[Row, ...]:
    """The measure before anything is ablated, and of pairs its gate."""
    name = sweep.measure.name
    measure = f"{name[:1].upper()}{name[1:]}"
    return (
        fact("intact", f"{measure} of the intact model", found.intact),
        fact("corrupted", f"{measure} on the corrupted prompts", found.corrupted),
        fact("accuracy", "Prefers the answer", found.accuracy, "of pairs"),
    )


def _facts(sweep: Sweeping, found: Swept) -> Table:
    text = sweep.text
    return facts(
        "facts",
        fact("method", "Method", fmt.METHODS["internals"]),
        fact("model", "Model", sweep.run.subject.name),
        fact("ablation", "Ablation", sweep.ablation),
        fact("text", "Text", text.name),
        fact("components", "Components", len(found.effects)),
        fact("predictions", "Predictions that are scored", text.predicted),
        fact("documents", _units(sweep).capitalize(), len(text.units)),
        fact("fit-documents", "Documents that fills are fitted on", len(text.fit) or None),
        *_intact(sweep, found),
        fact("floor", "Rounding: smaller changes count as none", sweep.measure.floor or None),
    )


def _estimation(one: Estimation) -> Section:
    """How effects that were not all measured exactly were come by."""
    return Section(
        key="estimation",
        title="How the effects were come by",
        blocks=(
            Prose(words=one.says),
            facts(
                "facts",
                fact("method", "Measured by", one.method),
                fact("exact", "Run exactly", one.exact, "conditions times documents"),
                fact("whole", "An exact sweep would have run", one.whole),
                fact("missed", "Of those let go, may be above the threshold", one.missed),
            ),
        ),
    )


def _twin(twin: TwinSweep) -> Section:
    sweep, found = twin.sweep, twin.found
    units, documents = _units(sweep), len(sweep.text.units)
    said = _verdict(found.effects, sweep)
    return Section(
        key="twin",
        title="The same with random weights",
        blocks=(
            Prose(words=f"On {documents:,} {units}, each alone: {said}"),
            facts(
                "facts",
                fact("model", "Model", sweep.run.subject.name),
                fact("documents", units.capitalize(), documents),
                fact("predictions", "Predictions that are scored", sweep.text.predicted),
                *_intact(sweep, found),
            ),
        ),
    )
