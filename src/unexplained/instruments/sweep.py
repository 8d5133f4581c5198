"""`sweep`: what every component does alone, and the strongest together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from unexplained.errors import TextError
from unexplained.record import blocks as b
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Block,
    Cell,
    Column,
    Forest,
    Grid,
    GridRow,
    Prose,
    Row,
    Section,
    Table,
    Track,
    facts,
)
from unexplained.record.sweep import Estimation, Joint
from unexplained.study import Headline, Option, Texts, instrument
from unexplained.study.instrument import told

if TYPE_CHECKING:
    from unexplained.record import Effect, SweepRecord
    from unexplained.study import Run

STRONGEST = 20
"""How many are drawn and listed at first."""
WIDEST = 64
"""Columns beyond which components are no grid."""
MEASURED = {
    "all documents": "all documents",
    "control variate": "some documents, the rest by attribution",
    "chosen on": "only where a race chose",
    "fresh documents": "documents that did not choose",
}


def _names(given: Mapping[str, Any]) -> None:
    """Refuse an ablation, a measure or a text that does not go with the others."""
    from unexplained.ablations import ABLATIONS
    from unexplained.bars.measures import measure_of
    from unexplained.text.named import is_pairs

    ablation, pairs = given["ablation"], is_pairs(given["text"])
    if ablation:
        ABLATIONS.get(ablation)
    if given["measure"]:
        measure_of(given["measure"], pairs=pairs)
    if (given["swapped"] or ablation == "patch") and not pairs:
        raise TextError(
            f"{'--swapped' if given['swapped'] else '--ablation patch'} on {given['text']}",
            "it is running text, not pairs of prompts",
            "Use a behaviour, such as ioi.",
        )


@instrument(
    "sweep",
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
        Literal["exact", "control variates", "race"],
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
    twin: Annotated[bool, Option("Measure a model with random weights beside it.")] = True,
) -> Iterator[b.Block | Headline]:
    """Ablate every component alone, then the strongest together: which matter, on this text?

    With intervals, corrected for the number of components. Of a behaviour, documents are pairs with
    their role-swaps; components are patched from the corrupted prompts and the logit difference is
    measured, unless said otherwise.

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
        twin: Whether to ablate the same components of the random-weight twin, each alone.

    Raises:
        UnexplainedError: As `assays.sweep`, all that can be told before anything is run.
    """
    from unexplained.assays.sweep import sweep as swept

    text = run.text.swapped() if swapped else run.text
    found = swept(
        run.subject, sites, text,
        ablation=ablation or ("patch" if text.pairs else "mean"),
        measure=measure or ("logit difference" if text.pairs else "loss"),
        method=method, sample=sample, keep=keep, pairs=pairs, gated=gated and not swapped,
        twin=twin, settings=run.settings, folder=run.folder, workers=run.workers,
        memory=run.memory, say=run.say,
    )  # fmt: skip
    yield from told(run, found, blocks(found), sheet(found))


def blocks(record: SweepRecord) -> Iterator[b.Block]:
    """What was found, as blocks."""
    yield _facts(record)
    if record.estimation is not None:
        yield _estimation(record.estimation)
    yield _alone(record)
    if record.joints or record.pairs:
        yield _together(record)
    if record.twin is not None:
        yield _twin(record.twin)
    yield from (b.Prose(words=note, manner="aside") for note in record.text_notes)


def sheet(record: SweepRecord) -> dict[str, str]:
    """What was measured on."""
    found = {f"Text {record.text}": record.text_fingerprint}
    if (twin := record.twin) is not None:
        found |= {
            twin.subject: twin.subject_fingerprint,
            f"Text {twin.text}, for random weights": twin.text_fingerprint,
        }
    return found


def _units(record: SweepRecord) -> str:
    return "orbits of pairs" if record.pairs_of_prompts else "documents"


def _list(key: str, *rows: tuple[str, str, str, Cell]) -> Table:
    """A list of facts: key, name, note and cell of each that there is."""
    return facts(
        key,
        *(
            Row(key=row, name=name, note=note, cells=(cell,))
            for row, name, note, cell in rows
            if cell is not None
        ),
    )


def _intact(record: SweepRecord) -> tuple[tuple[str, str, str, Cell], ...]:
    """The measure before anything is ablated, and of pairs its gate."""
    measure = f"{record.measure[:1].upper()}{record.measure[1:]}"
    return (
        ("intact", f"{measure} of the intact model", "", record.intact),
        ("corrupted", f"{measure} on the corrupted prompts", "", record.corrupted),
        ("accuracy", "Prefers the answer", "of pairs", record.accuracy),
    )


def _facts(record: SweepRecord) -> Table:
    return _list(
        "facts",
        ("method", "Method", "", fmt.METHODS[record.tag]),
        ("model", "Model", "", record.subject),
        ("ablation", "Ablation", "", record.ablation),
        ("text", "Text", "", record.text),
        ("components", "Components", "", len(record.effects)),
        ("predictions", "Predictions that are scored", "", record.tokens),
        ("documents", _units(record).capitalize(), "", record.documents),
        ("fit-documents", "Documents that fills are fitted on", "", record.fit_documents or None),
        *_intact(record),
        ("floor", "Rounding: smaller changes count as none", "", record.floor or None),
    )


def _estimation(one: Estimation) -> Section:
    """How effects that were not all measured exactly were come by."""
    return Section(
        key="estimation",
        title="How the effects were come by",
        blocks=(
            Prose(words=one.says),
            _list(
                "facts",
                ("method", "Measured by", "", one.method),
                ("exact", "Run exactly", "conditions times documents", one.exact),
                ("whole", "An exact sweep would have run", "", one.whole),
                ("missed", "Of those let go, may be above the threshold", "", one.missed),
            ),
        ),
    )


def _alone(record: SweepRecord) -> Section:
    table, done = _effects(record), "patched" if record.ablation == "patch" else "ablated"
    what, names = _columns(record)
    units, of = _units(record), len(record.effects)
    below = f": what they do on {units} that did not choose them is below" * bool(record.joints)
    blocks: list[Block] = [
        Prose(
            words=f"Change of the {record.measure} when this one alone is {done}. The strongest, by "
            f"size either way, are the largest of {of:,} on these {units}, so that their sizes "
            f"flatter them{below}. Ranks: those not ruled out for it, all held at once."
        )
    ]
    if names:
        blocks.append(_grid(record, table, names))
    return Section(
        key="alone",
        title=f"Every {what}",
        blocks=(*blocks, _strongest(record, table), table, _more(record)),
    )


def _place(site: str) -> tuple[int, str]:
    """Layer and name of a component; of one that is none of a layer its name alone."""
    match = re.fullmatch(r"L(\d+)\.(\w+)", site)
    return (int(match[1]), match[2]) if match else (-1, site)


def _columns(record: SweepRecord) -> tuple[str, tuple[str, ...]]:
    """What components are, and their names within a layer; none where they make no grid."""
    places = [_place(effect.site) for effect in record.effects]

    def order(name: str) -> tuple[str, int]:
        digits = re.sub(r"\D", "", name)
        return re.sub(r"\d", "", name), int(digits) if digits else -1

    names = tuple(sorted({name for _, name in places}, key=order))
    what = "head" if all(re.fullmatch(r"H\d+", name) for name in names) else "component"
    whole = all(layer >= 0 for layer, _ in places) and len(names) <= WIDEST
    return what, names if whole else ()


def _grid(record: SweepRecord, table: Table, names: tuple[str, ...]) -> Grid:
    sites = {_place(effect.site): effect for effect in record.effects}
    tested = record.tested
    over = f"all {tested}" if tested == len(record.effects) else (
        f"{tested}, those that a race kept or sampled"
    )  # fmt: skip
    return Grid(
        key="grid",
        caption="Told from zero: at a false discovery rate of "
        f"{fmt.tick(record.rate, share=True)} over {over}.",
        corner="Layer",
        columns=names,
        rows=tuple(
            GridRow(
                name=str(layer),
                cells=tuple(
                    table.at(sites[layer, name].site, "change") if (layer, name) in sites else None
                    for name in names
                ),
            )
            for layer in sorted({layer for layer, _ in sites})
        ),
        framed=tuple(table.at(e.site, "change") for e in record.effects if record.told(e)),
    )


def _strongest(record: SweepRecord, table: Table) -> Forest:
    on_twin = {effect.site for effect in record.twin.effects} if record.twin else set()
    return Forest(
        key="strongest",
        title="The strongest",
        share=False,
        caption="An upright stroke: the same with random weights." if on_twin else "",
        tracks=tuple(
            Track(
                name=effect.site,
                note=_told(record, effect),
                role="ablation" if record.told(effect) else "baseline",
                marks=(table.at(effect.site, "change"),),
                others=(table.at(effect.site, "twin"),) if effect.site in on_twin else (),
            )
            for effect in record.strongest[:STRONGEST]
        ),
    )


def _told(record: SweepRecord, effect: Effect) -> str:
    """Whether it is told from zero, and by what."""
    if effect.q is None:
        return "let go by the race: measured only where it was chosen"
    ranks = f"; rank {_ranks(effect)}" if effect.ranks else ""
    return (
        f"q = {fmt.chance(effect.q)}" + ", not told from zero" * (not record.told(effect)) + ranks
    )


def _chance(p: float | None) -> str | None:
    return None if p is None else fmt.chance(p)


def _ranks(effect: Effect) -> str | None:
    """The ranks that are not ruled out for a component."""
    if effect.ranks is None:
        return None
    low, high = effect.ranks
    return f"{low}" if low == high else f"{low}–{high}"


Filled = tuple[Column, Callable[["Effect"], Cell]]
"""A column, and what stands in it for a component."""


def _by_component(record: SweepRecord, columns: Sequence[Filled]) -> Table:
    """A row for each component, the strongest first; without columns in which nothing stands."""
    ranked = record.strongest
    cells = [(column, [of(effect) for effect in ranked]) for column, of in columns]
    filled = [(column, down) for column, down in cells if any(c is not None for c in down)]
    return Table(
        key="effects",
        corner="Component",
        columns=tuple(column for column, _ in filled),
        rows=tuple(
            Row(key=effect.site, name=effect.site, cells=tuple(down[i] for _, down in filled))
            for i, effect in enumerate(ranked)
        ),
        folded=True,
    )


def _effects(record: SweepRecord) -> Table:
    alike = all(effect.measured == "all documents" for effect in record.effects)
    unit = record.intact.unit
    columns: list[Filled] = [
        (Column(key="change", heading=f"Change of the {record.measure}", note=unit),
         lambda effect: effect.change),
        (Column(key="share", heading="Share of the corruption's", style="share"),
         lambda effect: effect.share),
        (Column(key="q", heading="q"), lambda effect: _chance(effect.q)),
        (Column(key="ranks", heading="Ranks", words=True), _ranks),
        (Column(key="twin", heading="With random weights", note=unit),
         lambda effect: record.on_twin(effect.site)),
        (Column(key="kl", heading="KL"), lambda effect: effect.kl),
        (Column(key="measured", heading="Measured on", words=True),
         lambda effect: None if alike else MEASURED[effect.measured]),
    ]  # fmt: skip
    return _by_component(record, columns).model_copy(
        update={
            "title": "All by size",
            "caption": f"Intervals: {fmt.tick(record.level, share=True)}. q: corrected for "
            f"{record.tested:,} components. Ranks: those not ruled out.",
            "folded": len(record.effects) > STRONGEST,
            "lead": STRONGEST,
        }
    )


def _more(record: SweepRecord) -> Table:
    """What hardly anybody asks for: a record has to have it all the same."""
    twin = {} if record.twin is None else {effect.site: effect for effect in record.twin.effects}

    def on_twin(name: str) -> Callable[[Effect], Cell]:
        return lambda effect: getattr(twin.get(effect.site), name, None)

    group = "With random weights"
    columns: list[Filled] = [
        (Column(key="p", heading="p"), lambda effect: effect.p),
        (Column(key="gain", heading="Gain of the control variate"), lambda effect: effect.gain),
        (Column(key="twin-share", heading="Share of the corruption's", group=group, style="share"),
         on_twin("share")),
        (Column(key="twin-kl", heading="KL", group=group), on_twin("kl")),
        (Column(key="twin-p", heading="p", group=group), on_twin("p")),
        (Column(key="twin-q", heading="q", group=group), on_twin("q")),
    ]  # fmt: skip
    return _by_component(record, columns).model_copy(
        update={
            "key": "more",
            "title": "Before correction" + ", and with random weights" * bool(twin),
            "caption": "p: before correction for the number of components. Gain: variance without "
            "the attribution over variance with it.",
        }
    )


def _together(record: SweepRecord) -> Section:
    units, measure = _units(record), record.measure
    means = (
        "Above 0, components stand in for each other and each looks harmless alone; below 0, they "
        "cancel or one works through the other."
        if measure in ("loss", "KL")
        else "Of the sign of the joint effect: components stand in for each other and each looks "
        "harmless alone. Of the other sign: they cancel, or one works through the other."
    )
    blocks: list[Block] = [
        Prose(
            words=f"Chosen on {record.chosen_on:,} {units}, measured on the other "
            f"{record.reported_on:,}. Interaction: together minus the sum of each alone. {means}"
        )
    ]
    if record.joints:
        blocks.append(_joints(record, "joints", record.joints))
    if record.pairs:
        table = _joints(record, "pairs", record.pairs)
        more = {"title": "Two at a time, in numbers", "folded": True}
        blocks += [_matrix(record, table), table.model_copy(update=more)]
    return Section(key="together", title="Together against alone", blocks=tuple(blocks))


def _joints(record: SweepRecord, key: str, joints: Sequence[Joint]) -> Table:
    """A row for each: the strongest so many, or two by their names."""

    def row(one: Joint) -> Row:
        many, cells = len(one.sites), (one.together, one.summed, one.interaction)
        if key == "pairs":
            return Row(key="+".join(one.sites), name=" and ".join(one.sites), cells=cells)
        return Row(key=f"strongest-{many}", name=f"the strongest {many}",
                   note=" ".join(one.sites), cells=cells)  # fmt: skip

    unit = record.intact.unit
    return Table(
        key=key,
        caption=f"On the {record.reported_on:,} {_units(record)} that did not choose them.",
        corner="Components",
        columns=(
            Column(key="together", heading="Together", note=unit),
            Column(key="summed", heading="Sum of each alone", note=unit),
            Column(key="interaction", heading="Interaction", note=unit),
        ),
        rows=tuple(row(one) for one in joints),
    )


def _matrix(record: SweepRecord, table: Table) -> Grid:
    """Interactions of the strongest, two at a time, in either order."""
    sites = tuple(dict.fromkeys(site for joint in record.pairs for site in joint.sites))
    cells, settled = {}, []
    for joint in record.pairs:
        one, other = joint.sites
        where = table.at("+".join(joint.sites), "interaction")
        cells[one, other] = cells[other, one] = where
        low, high = joint.interaction.low, joint.interaction.high
        if (low is not None and low > 0) or (high is not None and high < 0):
            settled.append(where)
    return Grid(
        key="two",
        title="Two at a time",
        caption="Interaction. Told from zero: by its own interval, not corrected for their number.",
        columns=sites,
        rows=tuple(
            GridRow(name=one, cells=tuple(cells.get((one, other)) for other in sites))
            for one in sites
        ),
        framed=tuple(settled),
    )


def _twin(twin: SweepRecord) -> Section:
    units = _units(twin)
    return Section(
        key="twin",
        title="The same with random weights",
        blocks=(
            Prose(words=f"On {twin.documents:,} {units}, each alone: {twin.verdict}"),
            _list(
                "facts",
                ("model", "Model", "", twin.subject),
                ("documents", units.capitalize(), "", twin.documents),
                ("predictions", "Predictions that are scored", "", twin.tokens),
                *_intact(twin),
                ("seconds", "Took, seconds more", "", twin.seconds),
            ),
        ),
    )
