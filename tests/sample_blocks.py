"""A hand-made record with every type of block, and records of every instrument for the laws."""

from __future__ import annotations

from collections.abc import Callable

from sample_circuit import sample_small_circuit
from sample_family import sample_family
from sample_gap import sample_gap
from sample_record import sample_record
from sample_rewrite import sample_rewrite
from sample_rows import HOSTILE_DOMAIN, HOSTILE_NAME, HOSTILE_TOKENS, nats, refused, share
from sample_sizes import sample_sizes
from sample_sweep import sample_sweep, sample_sweep_of_pairs
from sample_tasks import sample_tasks
from unexplained.record import Check, Example, Number, Record, Token
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Attention,
    Block,
    Chart,
    Checks,
    Column,
    Compute,
    CurvePoint,
    Forest,
    Grid,
    GridRow,
    Level,
    Link,
    Network,
    Node,
    OnCurve,
    Point,
    Prose,
    Row,
    Ruler,
    Section,
    Series,
    Table,
    Tokens,
    Track,
    Weights,
)
from unexplained.record.ids import walk
from unexplained.record.keys import below

FLOPS = (1e12, 4e12, 1.6e13)


def header() -> dict[str, object]:
    """What every record has."""
    return {
        "title": f"Everything about {HOSTILE_NAME}",
        "verdict": "Nothing was measured.",
        "subject": HOSTILE_NAME,
        "subject_fingerprint": "f" * 16,
        "resamples": 2000,
        "seed": 0,
        "command": "unexplained everything",
        "versions": {"torch": "2.13.0"},
        "machine": {"cores": "2"},
        "measured": "2026-11-29T12:00:00",
        "seconds": 1.0,
    }


def numbers_of_all_styles() -> Table:
    """A column in every style, a refused number, a group, a bare number and a word."""
    flops = Number(value=3e12, low=2e12, high=None, unit="FLOPs")
    small = Number(value=3e-4, low=2e-5, high=0.02, unit="share")
    return Table(
        key="numbers",
        title="All numbers",
        caption=f"On {HOSTILE_DOMAIN}.",
        corner="Row",
        columns=(
            Column(key="loss", heading="Loss"),
            Column(key="mean", heading="mean", group="Recovered against", style="share"),
            Column(key="zero", heading="zero", group="Recovered against", style="share", gauge=True),
            Column(key="points", heading="Points", note="percentage points", style="points"),
            Column(key="flops", heading="FLOPs", style="compute"),
            Column(key="portion", heading="Portion", style="portion"),
            Column(key="bare", heading="Bare"),
            Column(key="said", heading="Said", words=True),
        ),
        rows=(
            Row(key="mine", name=HOSTILE_NAME, note="a claim", role="explanation",
                cells=(nats(3.4, 3.3, 3.5), share(0.61, 0.5, 0.7), share(0.5, 0.4, 0.6),
                       share(-0.05, -0.1, 0.01), flops, small, 12, HOSTILE_DOMAIN)),
            Row(key="other", name="other", role="baseline",
                cells=(nats(3.6, 3.5, 3.7), share(0.31, 0.2, 0.4), refused(), share(0.4, 0.3, 0.5),
                       refused("no curve"), small, None, "")),
        ),
    )  # fmt: skip


def by_rung() -> Table:
    """Losses against compute."""
    return Table(
        key="rungs",
        corner="Rung",
        columns=(Column(key="loss", heading="Loss"), Column(key="equals", heading="FLOPs", style="compute")),
        rows=(
            *(Row(key=f"rung-{i}", name=f"rung-{i}", cells=(nats(6 - i, 5.9 - i, 6.1 - i), None))
              for i in range(3)),
            Row(key="mine", name="mine", cells=(nats(5.2, 5.1, 5.3),
                Number(value=3e12, low=2e12, high=5e12, unit="FLOPs"))),
        ),
        folded=True,
    )  # fmt: skip


def pictures(table: Table, rungs: Table) -> tuple[Block, ...]:
    """One picture of each type, over the numbers of two tables."""
    mine, other = table.at("mine", "mean"), table.at("other", "mean")
    ruler = Ruler(label="number replaced", spacing="doubling", written="count")
    return (
        Forest(key="forest", title="Forest", bars=(0.5,), tracks=(
            Track(name=HOSTILE_NAME, note="a claim", role="explanation", group="Claims",
                  marks=(mine,), others=(table.at("mine", "zero"),)),
            Track(name="other", tag="careful", role="baseline", group="Baselines", marks=(other,)),
        )),
        Forest(key="pair", tracks=(Track(name="two", marks=(mine, other)),)),
        Grid(key="grid", corner="layer", columns=("H0", "H1"), framed=(mine,),
             rows=(GridRow(name="0", cells=(mine, None)), GridRow(name="1", cells=(other, other)))),
        Chart(key="chart", title="Curves", across=ruler, up=Ruler(label="recovered", written="share",
              solid=(0.0, 1.0)), levels=(Level(name="held", y=other, role="weaker"),),
              series=(Series(name=HOSTILE_NAME, band=True, points=(
                  Point(x=1, y=mine, label="one", ring="solid"), Point(x=4, y=other),
                  Point(x=8, y=table.at("other", "zero")))),
                  Series(name="base", role="baseline", dashed=True, points=(Point(x=2, y=other),)))),
        Chart(key="small", title="Small", small=True, across=Ruler(label="x", written="share"),
              up=Ruler(label="y", written="share"),
              series=(Series(name="s", points=(Point(x=mine, y=other),)),)),
        Network(key="graph", title="Graph", nodes=(Node(name=HOSTILE_NAME, level=0), Node(name="head", level=2),
                                                   Node(name="end", level=9)),
                links=(Link(source=HOSTILE_NAME, target="head", port="q", weight=mine),
                       Link(source="head", target="end", weight=other, faint=True))),
        Compute(key="curve", unit="nats per token", fitted=(1e12, 1.6e13),
                law=tuple(CurvePoint(compute=c, loss=6 - i, low=5.9 - i, high=6.1 - i)
                          for i, c in enumerate(FLOPS)),
                rungs=tuple(OnCurve(name=f"rung-{i}", rung=i, loss=rungs.at(f"rung-{i}", "loss"),
                                    compute=c) for i, c in enumerate(FLOPS)),
                conditions=(OnCurve(name=HOSTILE_NAME, role="explanation",
                                    loss=rungs.at("mine", "loss"),
                                    compute=rungs.at("mine", "equals")),)),
    )  # fmt: skip


def everything() -> Record:
    """A record with every type of block."""
    table, rungs = numbers_of_all_styles(), by_rung()
    tokens = tuple(
        Token(text=text, intact=1.0 if i else None, explained=2.0 if i else None,
              ablated=3.0 if i else None, intact_says=text, explained_says=text, label="first")
        for i, text in enumerate(HOSTILE_TOKENS)
    )  # fmt: skip
    facts = Table(
        key="facts",
        facts=True,
        columns=(Column(key="is", heading=""),),
        rows=(
            Row(key="damage", name="Damage", note="mean", cells=(nats(0.5, 0.4, 0.6),)),
            Row(key="text", name="Text", cells=(HOSTILE_DOMAIN,)),
            Row(key="kept", name="Kept", cells=(refused("nothing is kept", None),)),
        ),
    )
    checks = Checks(
        key="controls",
        checks=(
            Check(name="no explanation", text=HOSTILE_DOMAIN, expected="0", found=share(0.0, 0, 0), holds=True),
            Check(name="shuffled", text="a/b", expected="0", found=share(0.4, 0.3, 0.5), holds=False),
            Check(name="twin", text="a", expected="0", found=refused("no twin"), holds=True, applies=False),
        ),
    )  # fmt: skip
    example = Example(
        document="d1", domain=HOSTILE_DOMAIN, row=HOSTILE_NAME, excess=0.5, tokens=tokens
    )
    around = example.model_copy(update={"document": "d2", "at": len(tokens) - 1})
    return Record(
        instrument="everything",
        sheet={f"Text {HOSTILE_DOMAIN}": "a" * 16},
        blocks=(
            Answer(
                corner="Row",
                columns=table.columns[1:3],
                rows=tuple(AnswerRow(name=row.name, note=row.note, role=row.role, cells=tuple(
                    f"main/{table.at(row.key, key)}" for key in ("mean", "zero"))) for row in table.rows),
                beside=(AnswerRow(name="damage", cells=("facts/damage/is", None)),),
                picture="main/forest",
            ),
            facts,
            Prose(words="Said.", manner="quote", source="Somebody, somewhere"),
            Section(key="main", title="Numbers", blocks=(table, rungs, *pictures(table, rungs))),
            Section(key="more", title="More", folded=True, blocks=(
                Prose(words=HOSTILE_NAME),
                Section(key="inner", title="Inner", blocks=(numbers_of_all_styles(),)),
            )),
            Tokens(key="tokens", title="Tokens", caption="Documents.", examples=(example, around)),
            Attention(key="attention", title="Where it looks", document="d1", domain=HOSTILE_DOMAIN,
                      tokens=HOSTILE_TOKENS[:3], panels=(
                          Weights(name="L0.H0", role="intact", rows=((1.0,), (0.25, 0.75), (0.0, 0.5, 0.5))),
                          Weights(name=HOSTILE_NAME, role="explanation", rows=((1.0,), (0.0, 1.0), (0.0, 0.0, 0.0))),
                      )),
            checks,
        ),
        **header(),
    )  # fmt: skip


def answered(record: Record) -> Record:
    """The record with an answer: its own, or its first table of numbers and its first picture."""
    if isinstance(record.blocks[0], Answer):
        return record
    places = list(walk(record.blocks))
    above, table = next(
        (above, b) for above, b in places if isinstance(b, Table) and not b.facts
        and any(isinstance(cell, Number) for row in b.rows for cell in row.cells)
    )  # fmt: skip
    picture = next(
        (below(a, b.key) for a, b in places if isinstance(b, Forest | Chart | Grid | Compute)), ""
    )
    rows = tuple(
        AnswerRow(name=row.name, role=row.role, cells=tuple(
            below(above, table.at(row.key, column.key)) if isinstance(cell, Number) else None
            for column, cell in zip(table.columns[:4], row.cells, strict=False)))
        for row in table.rows[:12]
    )  # fmt: skip
    answer = Answer(corner=table.corner, columns=table.columns[:4], rows=rows, picture=picture)
    return Record.model_validate(record.model_dump() | {"blocks": (answer, *record.blocks)})


SAMPLES: dict[str, Callable[[], Record]] = {
    "everything": everything,
    "gap": sample_gap,
    "sweep": sample_sweep,
    "sweep of pairs": sample_sweep_of_pairs,
    "circuit": sample_small_circuit,
    "assay": sample_record,
    "family": sample_family,
    "rewrite": sample_rewrite,
    "sizes": sample_sizes,
    "tasks": sample_tasks,
}
"""A record for every way in which blocks are put together."""
