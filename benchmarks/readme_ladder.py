"""The README's tables of the ladder, from the catalogue and the records of `ladder.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import readme_assay
import records
from unexplained.ladder.catalogue import Catalogue, Trained
from unexplained.record import Number, Record
from unexplained.record import format as fmt
from unexplained.record.blocks import Compute, Prose, Section, Table
from unexplained.shares import percent, untold

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
WEAKER = "weaker "
"""Begins the keys of rows that are weaker models."""


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
            f"| {first.tokens / 1e6:.2f}M | {fmt.power(first.compute)} "
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
        record = records.read(RESULTS / f"ladder-{name}.json", "assay")
        text = next(readme_assay.texts(record))
        parts.append(_bars(record, text))
    parts.append(_left(record, text))
    return "\n\n".join(parts)


def _bars(record: Record, text: Section) -> str:
    all_tokens = f"{text.key}/bars/all all"
    recovered, scores, places = (
        records.numbers(records.table(record, where))
        for where in (f"{all_tokens}/recovered", f"{all_tokens}/scores",
                      f"{text.key}/compute/conditions")
    )  # fmt: skip
    rung, kinds = _strongest(record, all_tokens), _kinds(record, text)
    heads = ", ".join(f"`{site}`" for site in readme_assay.sites(record))
    where = f"{text.key}/compute"
    by_key = {one.name: one for one in next(records.each(record, Compute, where)).conditions}
    notes = {row.key: row.note for row in records.table(record, f"{where}/conditions").rows}
    lines = [
        f"**`{record.subject}`**, heads {heads}, on "
        f"{text.title}: {readme_assay.size(record, text)}.\n",
        f"| in the heads' place | loss | recovered against mean | against unigram | gap to {rung} kept "
        f"| as good as | share of compute: {' | '.join(kinds.values())} |",
        "|---|---:|---:|---:|---:|---|" + "---:|" * len(kinds),
    ]
    for name in (name for name in SHOWN if name in scores):
        found, place = recovered[name], places[name]
        equals = (
            "below the ladder"
            if place["equals"].value is None
            else str(fmt.compute(place["equals"]))
        )
        beyond = STAR if by_key[name].extrapolated else ""
        shares = STAR if "extrapolated" in notes[name] else ""
        lines.append(
            f"| {name} | {fmt.show(found['loss'])} | {share(found['mean'])} | {share(found['unigram'])} "
            f"| {share(scores[name][rung])} | {equals}{beyond} "
            + "".join(
                f"| {fmt.portion(place[kind])}{shares if kind in ('frontier', 'bend') else ''} "
                for kind in kinds
            )
            + "|"
        )
    if any(STAR in line for line in lines):
        lines.append(f"\n{STAR} extrapolated: a compute beyond what the curve was fitted on.")
    return "\n".join(
        [*lines, *(part for words in readme_assay.counted(record, text) for part in ("", words))]
    )


def _kinds(record: Record, text: Section) -> dict[str, str]:
    """The frontier by every curve that the record has, the chosen one by name."""
    words = {
        "frontier": "frontier, by the law",
        "bend": "by the bend",
        "between rungs": "between rungs",
    }
    columns = records.table(record, f"{text.key}/compute/conditions").columns
    kinds = {column.key: words[column.key] for column in columns if column.key in words}
    picture = next(records.each(record, Compute, f"{text.key}/compute"))
    if "bend" in kinds:
        kinds["bend" if picture.chosen == "bend" else "frontier"] += " (chosen)"
    return kinds


def _strongest(record: Record, all_tokens: str) -> str:
    """The strongest of the models that are weaker on this text."""
    gaps, losses = (
        {row: found for row, found in records.numbers(records.table(record, where)).items()
         if row.startswith(WEAKER)}
        for where in (f"{all_tokens}/denominators", f"{all_tokens}/recovered")
    )  # fmt: skip
    weaker = [row for row, found in gaps.items() if (found["nats"].low or 0.0) > 0]
    return min(weaker, key=lambda row: losses[row]["loss"].value or 0.0).removeprefix(WEAKER)


def _left(record: Record, text: Section) -> str:
    lines = [
        "Each rung foretold from the other five, on the same text:\n",
        "| rung | loss | foretold | its FLOPs | FLOPs by its loss |",
        "|---|---:|---|---:|---|",
    ]
    scale = f"{text.key}/compute"
    found = records.table(record, f"{scale}/left-out")
    for row in found.rows:
        one = records.by_column(found, row)
        loss, predicted, equals = (
            records.number(one[key]) for key in ("loss", "predicted", "equals")
        )
        assert loss is not None and isinstance(one["compute"], float)
        lines.append(
            f"| {row.name}{', extrapolated' * ('extrapolated' in row.note)} | {loss.value:.3f} "
            f"| {fmt.show(predicted)} | {fmt.power(one['compute'])} | {fmt.compute(equals)} |"
        )
    lines.append(f"\nThe curves: {_curves(record, scale)}.")
    inside = list(records.each(record, object, scale))
    law = next(
        i for i, block in enumerate(inside) if isinstance(block, Table) and block.key == "law"
    )
    lines += [f"\n{block.words}" for block in inside[law + 1 : law + 2] if isinstance(block, Prose)]
    return "\n".join(lines)


def _curves(record: Record, scale: str) -> str:
    """The curves in a line, the one that was chosen first."""
    facts = {row.key: row for row in records.table(record, f"{scale}/law").rows}
    picture = next(records.each(record, Compute, scale))

    def fact(key: str) -> str:
        found = facts[key].cells[0]
        return found if isinstance(found, str) else str(fmt.show(records.number(found)))

    def foretold(form: str) -> str:
        known = f"off-{form}" in facts
        return f", foretells a rung from the others to {fact(f'off-{form}')}" if known else ""

    unit = f" {picture.unit}" * (record[f"{scale}/law/floor/is"].value is not None)
    by_law = (
        f"{facts['floor'].note}: E {fact('floor')}{unit}, α {fact('exponent')}{foretold('law')}"
    )
    fitted = f"fitted from {fact('range')}; scatter about the curve {fact('scatter')}"
    if "bends" not in facts:
        return f"{by_law}; {fitted}"
    bend = (
        f"exponent at {fact('middle')} FLOPs {fact('bend-exponent')}, second order {fact('bends')}"
        if "middle" in facts
        else f"α {fact('bend-exponent')}, C₀ {fmt.compute(record[f'{scale}/law/bends/is'])} FLOPs"
    )
    by_bend = f"{facts['bend-exponent'].note}: {bend}{foretold('bend')}"
    chosen, other = (by_bend, by_law) if picture.chosen == "bend" else (by_law, by_bend)
    return f"{chosen}; {fitted}; not chosen: {other}"


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
    """Rewriting, sizes, tasks and a gap in sentences."""
    rewrite, sizes, tasks, gap = (
        records.read(RESULTS / f"ladder-{name}.json", name)
        for name in ("rewrite", "sizes", "tasks", "gap")
    )
    recovered = records.numbers(records.table(sizes, "sizes/recovered"))
    points = ", ".join(f"{rung} {share(found['recovered'])}" for rung, found in recovered.items())
    over = dict(gap.numbers()).get("runs/worse/is")
    return "\n".join([
        f"- `rewrite rung-6` (MISSION 10): {rewrite.verdict}",
        *_break_even(rewrite),
        *_programs(rewrite),
        f"- `sizes` (MISSION 11): {sizes.verdict} {points}.",
        f"- `tasks attention-2` (MISSION 13–16): {tasks.verdict}",
        _last_task(tasks),
        f"- `gap rung-4 --weak rung-3` (MISSION 12): {gap.verdict} Tokens are ordered by another pair of "
        f"seeds; in the order of the two themselves it would be {share(gap['orders/concentration/effective/own'])}. On "
        f"{share(over or gap['signs/signs/worse/is'])} of the tokens the larger model is the worse "
        f"one{', other seeds counted' if over else ', of these two runs'}.",
    ])  # fmt: skip


def _break_even(rewrite: Record) -> list[str]:
    """How many components can be replaced before each weaker model is better."""
    components = records.cell(rewrite, "facts/components/is")
    found, said = records.table(rewrite, "break-even/by-order"), []
    for row in found.rows:
        held = [
            cell for key, cell in records.by_column(found, row).items() if key.startswith("held")
        ]
        counts = [count for count in held if isinstance(count, int)]
        if counts:
            either = " or ".join(str(count) for count in sorted(set(counts)))
            said.append(f"  - not told to be worse than {row.name} with {either} of {components} heads replaced "
                        f"(by random order: {', '.join(map(str, counts))})")  # fmt: skip
    return said


def _programs(rewrite: Record) -> list[str]:
    """What written programs reach in the place of the whole model."""
    if not records.has(rewrite, "programs"):
        return []
    said, bars = [], records.table(rewrite, "bars/all all/recovered")
    every = {row.key: records.by_column(bars, row) for row in bars.rows}
    for row in records.table(rewrite, "programs/lengths").rows:
        found = every[row.key]
        known = {key: cell for key, cell in found.items() if isinstance(cell, Number)}
        beyond = " and ".join(
            f"{share(known[name])} beyond {name}" for name in ("bigram", "trigram") if name in known
        )
        said.append(
            f"- A written program for the whole model (MISSION 9), “{row.name}”: loss "
            f"{fmt.show(known['loss'])}, {share(known['unigram'])} of what the model knows beyond "
            f"unigram, {beyond}; among the rungs: {found['place']}; "
            f"{records.cell(rewrite, f'programs/lengths/{row.key}/bits'):,} bits."
        )
    return said


def _last_task(tasks: Record) -> str:
    """The last task as more is replaced, and where on the ladder it appears."""
    accuracies = records.table(tasks, "accuracy/accuracies")
    last = accuracies.rows[-1]
    right = records.numbers(accuracies)[last.key]
    steps = records.numbers(records.table(tasks, f"accuracy/steps/{last.key}"))
    curve = "; ".join(
        f"{count} heads: f {share(found['recovered'])}, right {share(right[count])}"
        for count, found in steps.items()
        if "recovered" in found
    )
    between = records.cell(tasks, f"part/tasks/{last.key}/between")
    return (
        f"  - on {last.name}, as more is replaced: {curve}. Where the task appears: "
        f"{share(tasks[f'part/tasks/{last.key}/jump'])} of the rise between {between}."
    )


def share(number: Number) -> str:
    """A share with its interval."""
    return str(fmt.show(number, share=True)) if number.value is not None else "refused"


PATHS = ("strict", "token", "bias", "without")
"""Columns of the table of paths that are shown, besides what a head is worth."""


def paths_table() -> str:
    """What the induction term carries of every head of the two-layer attention-only model."""
    repeats, webmix = (
        records.read(RESULTS / f"ladder-{name}.json", "paths") for name in ("paths", "paths-webmix")
    )
    said = [f"> {repeats.verdict}"]
    for record in (repeats, webmix):
        found = records.table(record, "kept/shares")
        keys = [column.key for column in found.columns]
        heads = [found.columns[keys.index(key)].heading for key in PATHS]
        lines = [
            f"| head, on {records.cell(record, 'facts/text/is')} | worth, nats per token | {' | '.join(heads)} |",
            f"|---|{'---:|' * (1 + len(PATHS))}",
        ]
        for row in found.rows:
            cells = [row.cells[keys.index(key)] for key in ("worth", *PATHS)]
            lines.append(f"| `{row.name}` | {' | '.join(str(fmt.cell(cell)) for cell in cells)} |")
        said.append("\n".join(lines))
    return "\n\n".join(said)


def emergence_table() -> str:
    """When induction and what goes with it emerge, run by run, and by how much apart over seeds."""
    found = json.loads((RESULTS / "emergence.json").read_text(encoding="utf-8"))
    steps, measures = (
        found["emergence"],
        ("induction", "previous token", "loss on repeats", "gain in context"),
    )
    lines = [
        f"| run | {' | '.join(measures)} | last loss on repeats |",
        f"|---|{'---:|' * (1 + len(measures))}",
    ]
    for name, of in steps["runs"].items():
        last = found["runs"][name]["points"][-1]
        at = ["–" if of[what] is None else f"{of[what]:,.0f}" for what in measures]
        lines.append(f"| {name} | {' | '.join(at)} | {last['loss on repeats']:.2f} |")
    over = "; ".join(
        f"{what} {mean:,.0f} [{low:,.0f}, {high:,.0f}]"
        for what, (mean, low, high) in steps["seeds"].items()
    )
    apart = "; ".join(
        f"{what} {mean:.2f} [{low:.2f}, {high:.2f}]"
        for what, (mean, low, high) in steps["by induction"].items()
    )
    return "\n".join([
        *lines,
        "",
        f"Steps, of {found['recipe']['steps']:,}, at which a measure has gone half of the way that it goes in plain runs; – if it "
        f"never does. Plain runs, over their seeds: {over}. By the step of induction: {apart}.",
        "",
        *_strict_induction(found["runs"]),
    ])  # fmt: skip


SHOWN_FROM = 1200
"""Steps before which no head is worth anything on repeats."""


def _strict_induction(runs: Mapping[str, Any]) -> list[str]:
    """What strict induction recovers of the strongest induction head of every plain run, by checkpoint."""
    plain = {name: run["points"] for name, run in runs.items() if name.startswith("plain")}
    shown: dict[int, list[str]] = {}
    for points in plain.values():
        for point in points:
            if point["step"] >= SHOWN_FROM and "strict induction" in point:
                one = point["strict induction"]
                share, worth = (Number(**one[key]) for key in ("recovered", "worth"))
                said = "refused" if untold(share) else percent(share)
                shown.setdefault(point["step"], []).append(f"{said} of {fmt.written(worth)}")
    return [
        f"| step | {' | '.join(f'{name}: strict induction recovers' for name in plain)} |",
        f"|---:|{'---:|' * len(plain)}",
        *(f"| {step:,} | {' | '.join(cells)} |" for step, cells in shown.items()),
        "",
        "Of what mean ablation of the head that looks there most costs at that checkpoint, on repeats (nats per token).",
    ]
