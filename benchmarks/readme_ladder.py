"""The README's tables of the ladder, from the catalogue and the records of `ladder.py`."""

from __future__ import annotations

import json
from pathlib import Path

from unexplained.bars.scales import in_words
from unexplained.ladder.catalogue import Catalogue, Trained
from unexplained.record import (
    AssayRecord,
    Number,
    Record,
    RewriteRecord,
    SizesRecord,
    TasksRecord,
    TextResult,
    load_record,
)
from unexplained.record import format as fmt
from unexplained.record.compute import Scale, ShareKind
from unexplained.record.tables import counted

RESULTS = Path(__file__).parent / "results"
MODELS = Path(__file__).parent.parent / "src" / "unexplained" / "models" / "ladder.json"
STAR = "\\*"
SHOWN = (
    "mean",
    "strict induction",
    "long prefix induction",
    "strict induction, gated",
    "own attention on targets",
    "trigram",
    "bigram",
    "unigram",
)


def rungs_table() -> str:
    """What each rung is and what it reached."""
    known = Catalogue(**json.loads(MODELS.read_text(encoding="utf-8")))
    by_rung: dict[int, list[Trained]] = {}
    for one in known.rungs():
        by_rung.setdefault(one.rung, []).append(one)
    lines = [
        "| rung | layers × width | weights | tokens | FLOPs | loss on kept-back documents, by seed "
        "| minutes | memory, MB |",
        "|---|---|---:|---:|---:|---|---|---:|",
    ]
    for rung, runs in by_rung.items():
        first = runs[0]
        lines.append(
            f"| `rung-{rung}` | {first.layers} × {first.width} | {first.parameters:,} "
            f"| {first.tokens / 1e6:.2f}M | {fmt.compute(flops(first.compute))} "
            f"| {', '.join(f'{run.held_out:.3f}' for run in runs)} "
            f"| {', '.join(f'{run.seconds / 60:.1f}' for run in runs)} "
            f"| {max(run.memory for run in runs) / 1e6:.0f} |"
        )
    attention = [one for one in known.models if one.role == "attention only"]
    said = "; ".join(
        f"`{one.name}`, {one.layers} layers × {one.width} without MLPs, {one.repeats:.0%} of its rows "
        f"with repeats, {one.seconds / 60:.0f} minutes"
        for one in attention
        if one.step == one.steps
    )
    lines.append(
        f"\nOne thread each of {known.machine['processor']}, two to four runs at once on two cores that "
        f"others used too, so minutes are upper bounds. Besides: {said}."
    )
    return "\n".join(lines)


def compute_table() -> str:
    """The induction rules on every bar, and the ladder foretold from itself."""
    parts = []
    for name in ("attention", "rung"):
        record = load_record(RESULTS / f"ladder-{name}.json")
        assert isinstance(record, AssayRecord)
        parts.append(_bars(record, record.texts[0]))
    assert isinstance(record, AssayRecord)
    parts.append(_left(record.texts[0]))
    return "\n\n".join(parts)


def _bars(record: AssayRecord, text: TextResult) -> str:
    assert text.scale is not None
    places = {one.condition: one for one in text.scale.explained}
    by_name = {one.condition: one for one in text.bars}
    rung = _strongest(text)
    kinds = _kinds(text.scale)
    lines = [
        f"**`{record.subject}`**, heads {', '.join(f'`{site}`' for site in record.sites)}, on "
        f"{text.name}: {text.tokens:,} tokens in {text.documents} documents.\n",
        f"| in the heads' place | loss | recovered against mean | against unigram | gap to {rung} kept "
        f"| as good as | share of compute: {' | '.join(words for _, words in kinds)} |",
        "|---|---:|---:|---:|---:|---|" + "---:|" * len(kinds),
    ]
    for name in (name for name in SHOWN if name in by_name):
        bars, place = by_name[name], places[name]
        against = {one.baseline: one.recovered for one in bars.baselines}
        gap = next(one.score for one in bars.rungs if one.rung == rung)
        equals = (
            "below the ladder" if place.equals.value is None else str(fmt.compute(place.equals))
        )
        beyond = {
            kind: STAR * text.scale.extrapolated(place, kind) for kind in (None, *dict(kinds))
        }
        lines.append(
            f"| {name} | {fmt.show(bars.loss)} | {share(against['mean'])} | {share(against['unigram'])} "
            f"| {share(gap)} | {equals}{beyond[None]} "
            + "".join(f"| {fmt.portion(place.shares[kind])}{beyond[kind]} " for kind, _ in kinds)
            + "|"
        )
    if any(STAR in line for line in lines[-len(SHOWN) :]):
        lines.append(f"\n{STAR} extrapolated: a compute beyond what the curve was fitted on.")
    return "\n".join([*lines, *(["", counted(text.tables)] if text.tables else [])])


def _kinds(scale: Scale) -> list[tuple[ShareKind, str]]:
    """The frontier by every curve that the record has; older ones know no bend."""
    kinds: list[tuple[ShareKind, str]] = [("frontier", "frontier, by the law")]
    if scale.bend is not None:
        kinds.append(("bend", "by the bend"))
    kinds.append(("between rungs", "between rungs"))
    if scale.bend is None:
        return kinds
    return [(k, f"{words} (chosen)" if k == scale.kind else words) for k, words in kinds]


def _strongest(text: TextResult) -> str:
    """The strongest of the models that are weaker on this text."""
    rungs = next(one.rungs for one in text.bars if one.rungs)
    weaker = [one for one in rungs if (one.gap.low or 0.0) > 0]
    return min(weaker, key=lambda one: one.loss.value or 0.0).rung


def _left(text: TextResult) -> str:
    assert text.scale is not None and text.scale.law is not None
    lines = [
        "Each rung foretold from the other five, on the same text:\n",
        "| rung | loss | foretold | its FLOPs | FLOPs by its loss |",
        "|---|---:|---|---:|---|",
    ]
    for one in text.scale.left:
        lines.append(
            f"| {one.rung}{', extrapolated' if one.outside else ''} | {one.loss.value:.3f} "
            f"| {fmt.show(one.predicted)} | {fmt.compute(flops(one.compute))} "
            f"| {fmt.compute(one.equals)} |"
        )
    if text.scale.bend is not None:
        lines.append(f"\nThe curves: {in_words(text.scale)}.")
    if text.scale.scatter:
        lines.append(f"\n{text.scale.scatter[:1].upper()}{text.scale.scatter[1:]}.")
    return "\n".join(lines)


def ngrams_table() -> str:
    """What tables of counts reach, by tokens counted and by smoothing (`ngrams.py`)."""
    found = json.loads((RESULTS / "ngrams.json").read_text(encoding="utf-8"))
    gaps = [key for key in found["tables"][0] if key.startswith("gap of ")]
    lines = [
        "| table | tokens counted | loss, Witten–Bell | Kneser–Ney "
        + "".join(f"| {key} kept, Kneser–Ney " for key in gaps) + "|",
        "|---|---:|---:|---:|" + "---:|" * len(gaps),
    ]  # fmt: skip
    rows = {(one["table"], one["counted"], one["smoothing"]): one for one in found["tables"]}
    for name, tokens in dict.fromkeys(key[:2] for key in rows):
        bell, ney = rows[name, tokens, "Witten–Bell"], rows[name, tokens, "Kneser–Ney"]
        cells = [fmt.show(Number(**one["loss"])) for one in (bell, ney)]
        shares = [share(Number(**ney[key])) for key in gaps]
        extent = f"{tokens:,}{' (all)' if ney['complete'] else ''}"
        lines.append(f"| {' | '.join([name, extent, *map(str, cells), *shares])} |")
    models = ", ".join(
        f"{'rung-6' if name == 'intact' else name} {fmt.show(Number(**number))}"
        for name, number in found["models"].items()
    )
    lines.append(
        f"\n`python benchmarks/ngrams.py`: {found['tokens']:,} tokens of webmix's eval part in "
        f"{found['documents']} documents. Losses of the models there: {models}."
    )
    return "\n".join(lines)


def whole_lines() -> str:
    """Rewriting, sizes and tasks in sentences."""
    rewrite, sizes, tasks = (
        load_record(RESULTS / f"ladder-{name}.json") for name in ("rewrite", "sizes", "tasks")
    )
    gap = load_record(RESULTS / "ladder-gap.json")
    assert isinstance(gap, Record)
    assert isinstance(rewrite, RewriteRecord)
    assert isinstance(sizes, SizesRecord)
    assert isinstance(tasks, TasksRecord)
    said = [f"- `rewrite rung-6` (MISSION 10): {rewrite.verdict}"]
    for one in rewrite.break_even:
        counts = " or ".join(str(count) for count in sorted(set(one.counts)))
        said.append(f"  - not told to be worse than {one.rung} with {counts} of {rewrite.components} heads replaced "
                    f"(by random order: {', '.join(map(str, one.counts))})")  # fmt: skip
    for program in rewrite.programs:
        against = {one.baseline: one.recovered for one in program.bars.baselines}
        place = program.bars.place
        beyond = " and ".join(
            f"{share(against[name])} beyond {name}"
            for name in ("bigram", "trigram")
            if name in against
        )
        said.append(
            f"- A written program for the whole model (MISSION 9), “{program.name}”: loss "
            f"{fmt.show(program.bars.loss)}, {share(against['unigram'])} of what the model knows beyond "
            f"unigram, {beyond}; among the rungs: "
            f"{place.place if place else '–'}; {program.description.bits:,} bits."
        )
    points = ", ".join(f"{one.rung} {share(one.recovered)}" for one in sizes.points)
    said.append(f"- `sizes` (MISSION 11): {sizes.verdict} {points}.")
    said.append(f"- `tasks attention-2` (MISSION 13–16): {tasks.verdict}")
    last = tasks.tasks[-1]
    curve = "; ".join(
        f"{p.count} heads: f {share(p.recovered)}, right {share(p.accuracy)}" for p in last.points
    )
    said.append(f"  - on {last.name}, as more is replaced: {curve}. Where the task appears: "
                f"{share(last.jump)} of the rise between {last.jump_at}.")  # fmt: skip
    numbers = dict(gap.numbers())
    over = numbers.get("runs/worse/is")
    said.append(
        f"- `gap rung-4 --weak rung-3` (MISSION 12): {gap.verdict} Tokens are ordered by another pair of "
        f"seeds; in the order of the two themselves it would be {share(numbers['orders/concentration/effective/own'])}. On "
        f"{share(over or numbers['signs/signs/worse/is'])} of the tokens the larger model is the worse "
        f"one{', other seeds counted' if over else ', of these two runs'}."
    )
    return "\n".join(said)


def share(number: Number) -> str:
    """A share with its interval."""
    return str(fmt.show(number, share=True)) if number.value is not None else "refused"


def flops(value: float) -> Number:
    """A counted number of operations."""
    return Number(value=value, unit="FLOPs")
