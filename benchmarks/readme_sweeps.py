"""The README's tables of sweeps and circuits, from what was measured."""

from __future__ import annotations

from typing import Any

import records
from unexplained.record import Record
from unexplained.record import format as fmt
from unexplained.record.blocks import Prose

TEN = 10


def peers_table(found: dict[str, Any]) -> str:
    """A line for every work: ours against the best peer; below them, what makes ours differ."""
    lines = [
        "| work | best peer | seconds, peer | ours | times as fast: fastest rounds | median "
        "| share of peak | peak memory, MB: peer | ours | greatest difference from float64 |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, entry in found.items():
        if name == "W5":
            continue
        rows = {row["tool"]: row for row in entry["rows"]}
        best, ours = rows[entry["best peer"]], rows["Unexplained"]
        lines.append(
            f"| {name.split()[0]}: {entry['what']} | {best['tool']} | {best['fastest']:.3g} "
            f"| {ours['fastest']:.3g} | {ours['times as fast, fastest rounds']:.1f} "
            f"| {ours['times as fast as the best peer']:.1f} "
            f"| {100 * ours['share of peak, fastest']:.0f}% | {best['peak memory, MB']:.0f} "
            f"| {ours['peak memory, MB']:.0f} "
            f"| {ours['greatest difference from float64']:.0e} {entry['unit']} |"
        )
    first = next(iter(found.values()))
    machine = first["machine"]
    place = machine.get(
        "gpu", f"{machine['processor']}, {counted(int(machine['threads']), 'thread')}"
    )
    said = [
        f"{place}, torch {first['versions']['torch']}; seconds are of the fastest round, per "
        "condition in W1 and W2. "
        "Share of peak: the operations that the work needs over what the machine's measured peak "
        "would do in that time."
    ]
    for name, entry in found.items():
        if name != "W5":
            slower = [
                f"{row['tool']} {row['fastest']:.3g} s" if "fastest" in row else
                f"{row['tool']} cannot ({row['cannot'].split(':')[0]})"
                for row in entry["rows"]
                if row["tool"] not in ("Unexplained", entry["best peer"])
            ]  # fmt: skip
            peak = entry["measured peak, operations per second"] / 1e9
            need = entry["operations needed for a condition"] / 1e9
            said.append(
                f"- {name}: {counted(len(entry['rows'][0]['rounds']), 'round')}; {need:.3g} GFLOP needed"
                f"{' per condition' if entry['conditions of ours'] > 1 else ''}, measured peak "
                f"{peak:.0f} GFLOP/s; others: {', '.join(slower)}."
                + (
                    f" Peers measured {entry['conditions of peers']} of the "
                    f"{entry['conditions of ours']} heads."
                    if entry["conditions of ours"] > entry["conditions of peers"]
                    else ""
                )
            )
    return "\n".join(lines) + "\n\n" + said[0] + "\n\n" + "\n".join(said[1:])


def counted(number: int, noun: str) -> str:
    """One thread, two threads."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def estimators_table(found: dict[str, Any]) -> str:
    """W5."""
    lines = [
        "| estimator | share of the exact sweep's cost | root mean square error, logits "
        "| width of the interval, logits | coverage, 95% asked | of the 10 strongest kept "
        "| bound on the missed held |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found["rows"]:
        kept, held = (
            row.get(key) for key in ("of the 10 strongest kept", "bound on the missed held")
        )
        lines.append(
            f"| {row['tool']} | {row['share of the exact sweep' + chr(39) + 's cost']:.2f} "
            f"| {row['root mean square error, logits']:.3f} "
            f"| {row['mean width of the interval, logits']:.3f} "
            f"| {100 * row['coverage, 95% asked']:.1f}% "
            f"| {'–' if kept is None else f'{100 * kept:.0f}%'} "
            f"| {'–' if held is None else f'{100 * held:.0f}%'} |"
        )
    return "\n".join(lines) + (
        f"\n\n{found['what']}; {found['repeats']} repeats, each with {found['documents']} orbits of "
        f"which {found['sample']} are the part measured exactly; correlation of attribution and "
        "effect over heads "
        f"{found['correlation of attribution and effect over heads']:.2f}."
    )


def matters_table(found: dict[str, Any]) -> str:
    """The ten that matter most on text beside the ten with the highest induction score."""
    record = Record.model_validate(found["record"])
    scores = sorted(found["induction"].items(), key=lambda pair: -pair[1])
    # The rows of a sweep are by size, the greatest first.
    every = records.numbers(records.table(record, "alone/effects"))
    effects = {site: fmt.show(numbers["change"]) for site, numbers in every.items()}
    rank = {site: i for i, site in enumerate(effects, start=1)}
    heads = [site for site in effects if ".H" in site]
    lines = [
        "| head that matters on text | change of the loss, nats per token | its induction score "
        "| head with a high induction score | score | change of the loss | rank of that |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    for head, (site, score) in zip(heads[:TEN], scores[:TEN], strict=False):
        lines.append(
            f"| {head} | {effects[head]} | {found['induction'][head]:.2f} "
            f"| {site} | {score:.2f} | {effects[site]} | {rank[site]} |"
        )
    both = {*heads[:TEN]} & {site for site, _ in scores[:TEN]}
    shared = f"{len(both)} heads are in both lists" + (
        f" ({', '.join(sorted(both))})" if both else ""
    )
    mlps = [f"{site} {change}" for site, change in effects.items() if ".mlp" in site][:3]
    how = next(
        (one.words for one in records.each(record, Prose, "estimation")),
        "Every component on every document.",
    )
    tokens, documents = (
        records.cell(record, f"facts/{k}/is") for k in ("predictions", "documents")
    )
    place = record.machine.get("gpu", record.machine["processor"])
    return (
        f"> {record.verdict}\n\n"
        + "\n".join(lines)
        + f"\n\n{tokens:,} tokens in {documents} documents. {how} "
        f"Of ten and ten, {shared}. The strongest MLPs: {'; '.join(mlps)}. "
        f"{record.measured[:10]}, {record.seconds / 60:.1f} minutes on {place}."
    )


def circuit_table(record: Record) -> str:
    """Share of the behaviour that is kept, by size and order of edges."""
    kept, orders = (records.table(record, f"sizes/{key}") for key in ("kept", "orders"))
    edges, pairs, orbits, others = (
        records.cell(record, f"facts/{key}/is") for key in ("edges", "pairs", "orbits", "fit-pairs")
    )
    lines = [
        "| edges | share | " + " | ".join(column.heading for column in kept.columns) + " |",
        "|---:|---:|" + "---:|" * len(kept.columns),
    ]
    for row in kept.rows:
        cells = [str(fmt.show(records.number(cell))) for cell in row.cells]
        share = f"{100 * int(row.key) / edges:.3g}%"
        lines.append(f"| {row.name} | {share} | " + " | ".join(cells) + " |")
    for key, name in (("area", "area (CPR)"), ("distance", "distance (CMD)")):
        found = [records.by_column(orders, row)[key] for row in orders.rows]
        cells = [f"{value:.2f}" if isinstance(value, float) else "–" for value in found]
        lines.append(f"| {name} | | " + " | ".join(cells) + " |")
    return (
        f"`{record.command}`; {record.measured[:10]}, {record.seconds / 60:.1f} minutes.\n\n"
        f"> {record.verdict}\n\n"
        + "\n".join(lines)
        + f"\n\nKept: the share of the way between the logit differences of clean "
        f"({fmt.show(record['facts/clean/is'])} logits) and corrupted "
        f"({fmt.show(record['facts/corrupted/is'])}) prompts, on {pairs} pairs in {orbits} orbits; "
        f"edges were scored on {others} other pairs."
    )
