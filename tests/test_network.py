"""Circuits as graphs, and a head's attention beside the claim's: placed, drawn, and what they point at."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

import unexplained as ux
from measured import model, words
from sample_blocks import everything
from sample_circuit import sample_circuit
from unexplained.bars.scores import EdgeScore, greatest
from unexplained.instruments._assay_attention import TOKENS, attention_beside
from unexplained.record import Number
from unexplained.record.blocks import Link, Network, Node, Section
from unexplained.record.ids import walk
from unexplained.report import render
from unexplained.report.network import HIGH, NetworkPlot, plot
from unexplained.study import Run
from unexplained.subject import Batch

EDGES = (
    ("input → L0.mlp", -1.0), ("input → L0.H1.q", 0.4), ("L0.H1 → L0.mlp", -0.3),
    ("input → L3.H0.v", -0.2), ("L0.mlp → L3.H0.k", -0.5), ("L0.mlp → logits", 0.9),
    ("L1.H2 → logits", 0.05), ("L3.H0 → logits", -0.8), ("L0.H1 → L3.mlp", 0.1),
    ("L3.mlp → logits", 0.2), ("L2.H1 → L3.H0.q", 0.3),
)  # fmt: skip


def section(*, refused: str = "") -> Section:
    """Edges with their graph."""
    top = [EdgeScore(name, score, 0.1) for name, score in EDGES]
    found = greatest(top, 1000, "eap", by="absolute")
    if refused:
        (table,) = (b for b in found.blocks if getattr(b, "key", "") == "scores")
        rows = tuple(
            row.model_copy(update={"cells": (Number(value=None, refused="few"), None)})
            if row.name == refused
            else row
            for row in table.rows  # type: ignore[union-attr]
        )
        blocks = tuple(
            table.model_copy(update={"rows": rows}) if b is table else b for b in found.blocks
        )
        found = found.model_copy(update={"blocks": blocks})
    return found


def placed(found: Section) -> NetworkPlot:
    (graph,) = (b for b in found.blocks if isinstance(b, Network))
    numbers = {
        f"scores/{row.key}/score": row.cells[0]
        for b in found.blocks
        if getattr(b, "key", "") == "scores"
        for row in b.rows  # type: ignore[union-attr]
    }
    drawn = plot(graph, lambda where: numbers[where])  # type: ignore[arg-type,return-value]
    assert drawn is not None
    return drawn


def test_layers_go_upward_and_every_arrow_goes_from_what_writes_to_what_reads() -> None:
    drawn = placed(section())
    y = {spot.name: spot.y for spot in drawn.spots}
    order = ["input", "L0.H1", "L0.mlp", "L1.H2", "L2.H1", "L3.H0", "L3.mlp", "logits"]
    assert sorted(y, key=y.__getitem__, reverse=True) == order
    x = {(s.name, ""): s.x for s in drawn.spots}
    x |= {(s.name, part): at for s in drawn.spots for part, at in s.ports}
    ends = {(arrow.points[0], arrow.points[-1]) for arrow in drawn.arrows}
    for name, _ in EDGES:
        source, target = name.split(" → ")
        node, _, port = target.partition(".H")[2].partition(".") if ".H" in target else ("", "", "")
        node = target.removesuffix(f".{port}") if port else target
        start = (x[source, ""], y[source] - HIGH)
        assert (start, (x[node, port], y[node] + HIGH)) in ends, name
    assert len(drawn.arrows) == len(EDGES)


def test_no_arrow_passes_behind_a_node_and_nodes_are_apart() -> None:
    drawn = placed(section())
    levels = {spot.y for spot in drawn.spots}
    for arrow in drawn.arrows:
        passed = [y for y in levels if arrow.points[-1][1] < y < arrow.points[0][1]]
        assert len(arrow.points) == 2 + 2 * len(passed)
        # Where it is level with a node it is vertical: between the two points that it has there.
        for (x, y), (x_next, y_next) in pairwise(arrow.points[1:-1]):
            if x == x_next:
                for spot in drawn.spots:
                    if y_next <= spot.y <= y:
                        assert abs(x - spot.x) > spot.half
    for one, other in pairwise(sorted(drawn.spots, key=lambda spot: (spot.y, spot.x))):
        assert one.y != other.y or other.x - one.x > one.half + other.half
    assert all(0 <= x <= drawn.width for arrow in drawn.arrows for x, _ in arrow.points)


def test_arrows_are_as_thick_as_their_numbers_and_say_them() -> None:
    drawn = placed(section())
    widths = {arrow.hover.split(":")[0]: arrow.width for arrow in drawn.arrows}
    assert widths["input → L0.mlp"] == max(widths.values())
    assert widths["L0.mlp → L3.H0.k"] == pytest.approx(widths["input → L0.mlp"] / 2, abs=0.1)
    falls = {arrow.hover.split(":")[0] for arrow in drawn.arrows if arrow.falls}
    assert falls == {name for name, score in EDGES if score < 0}
    faint = {arrow.hover.split(":")[0] for arrow in drawn.arrows if arrow.faint}
    assert faint == {name for name, score in EDGES if abs(score) <= 0.2}
    assert drawn.arrows[-1].hover.startswith("input → L0.mlp: −1.0")


def test_what_is_refused_is_named_and_not_drawn() -> None:
    drawn = placed(section(refused="L1.H2 → logits"))
    assert drawn.omitted == ("L1.H2 → logits",)
    assert "L1.H2" not in {spot.name for spot in drawn.spots}
    nothing = Network(
        key="g", nodes=(Node(name="a", level=0), Node(name="b", level=1)),
        links=(Link(source="a", target="b", weight="t/r/c"),),
    )  # fmt: skip
    assert plot(nothing, lambda where: Number(value=None, refused="few")) is None


def test_a_circuits_page_and_figure_have_its_graph() -> None:
    record = sample_circuit()
    assert any(isinstance(block, Network) for _, block in walk(record.blocks))
    page = render(record)
    assert page.count('class="arc') >= 3 and 'aria-label="The edges as a graph: ' in page
    made = record.figure("edges/graph")
    assert {"logits", "L9.H1"} <= {text.get_text() for text in made.axes[0].texts}


def test_the_attention_beside_a_claims_is_the_heads_own_and_the_claims() -> None:
    subject = model()
    text = ux.text("pydocs", subject, documents=12, fit_documents=12, block=64)
    site = subject.sites("L1.H0")[0]
    claim = ux.LIBRARY.get("previous_token")
    found = attention_beside(Run(subject, (text,), ux.Settings()), claim, site)
    assert found is not None and len(found.tokens) == TOKENS
    block = next(block for block in text.eval if block.document == found.document)
    ids = torch.tensor(block.tokens[None].astype("int64"))
    pattern = subject.run(Batch.of(ids), keep=[site.at("pattern")]).values[site.at("pattern")][0]
    own, said = found.panels
    for i, (mine, theirs) in enumerate(zip(own.rows, said.rows, strict=True)):
        assert mine == pytest.approx(pattern[i, : i + 1].tolist(), abs=1e-3)
        assert theirs == tuple(float(j == i - 1) for j in range(i + 1)) or i == 0
    assert found.tokens[1] == subject.tokenizer.decode([int(block.tokens[1])])  # type: ignore[operator,union-attr]
    pairs = Run(subject, (words(pairs=True),), ux.Settings())
    assert attention_beside(pairs, claim, site) is None
    mlp = subject.sites("L1.mlp")[0]
    assert attention_beside(Run(subject, (text,), ux.Settings()), claim, mlp) is None


def test_attention_is_escaped_and_has_a_figure() -> None:
    record = everything()
    page = render(record)
    assert 'class="attention"' in page and "looks at" in page and "<script>alert" not in page
    made = record.figure("attention")
    assert len(made.axes) >= 1
