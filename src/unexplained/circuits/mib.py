"""Reading and writing the graph files of MIB and EAP-IG (JSON), to compare and to exchange.

`{"cfg": {n_layers, n_heads, parallel_attn_mlp, d_model}, "nodes": {name: {in_graph, score?}},
"edges": {"input->a0.h0<q>": {score, in_graph}}}`. MIB keeps the edges whose scores (or, if told
so, absolute scores) are highest, so write scores that are high for edges to be kept.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unexplained.circuits.graph import LOGITS, CircuitError, Graph
from unexplained.errors import near_matches
from unexplained.files import read_json
from unexplained.places import write_whole

SIZES = {
    "n_layers": "layers", "n_heads": "heads", "d_model": "width", "parallel_attn_mlp": "parallel"
}  # fmt: skip
"""What the file's sizes are called here."""


@dataclass(frozen=True, eq=False)
class MibGraph:
    """Scores and a chosen circuit."""

    graph: Graph
    scores: NDArray[np.float64]
    """By edge; NaN where the file has none: such edges come last in any order."""
    in_graph: NDArray[np.bool_]
    """By edge: whether it is in the circuit."""
    sources_in_graph: NDArray[np.bool_]
    """By source."""
    source_scores: NDArray[np.float64]
    """By source; NaN where it has none."""


def save_mib(
    path: str | Path,
    graph: Graph,
    scores: NDArray[np.float64],
    in_graph: NDArray[np.bool_] | None = None,
    *,
    sources_in_graph: NDArray[np.bool_] | None = None,
    source_scores: NDArray[np.float64] | None = None,
) -> Path:
    """Write a graph file and return its path. Numbers are written so that they come back bit for bit.

    Args:
        path: Ends in `.json`.
        graph: The model's graph.
        scores: By edge, high for edges to be kept.
        in_graph: By edge; none is in the circuit if left out.
        sources_in_graph: By source; those with an edge in the circuit if left out.
        source_scores: By source, NaN where there is none.

    Raises:
        CircuitError: The scores are not one finite number for each edge, or another file ending.
        RecordError: The file cannot be written.
    """
    path = require_json(path)
    chosen = np.zeros(graph.edges, dtype=bool) if in_graph is None else np.asarray(in_graph)
    if scores.shape != (graph.edges,) or chosen.shape != (graph.edges,):
        raise CircuitError(
            f"Writing {path.name}", f"there are {scores.shape} scores for {graph.edges} edges"
        )
    if not np.isfinite(scores).all():
        raise CircuitError(f"Writing {path.name}", "a score is NaN or infinite")
    if sources_in_graph is None:
        sources_in_graph = np.zeros(len(graph.sources), dtype=bool)
        sources_in_graph[graph.ends[chosen, 0]] = True
    nodes: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(graph.sources):
        nodes[name] = {"in_graph": bool(sources_in_graph[i])}
        if source_scores is not None and not np.isnan(source_scores[i]):
            nodes[name]["score"] = float(source_scores[i])
    nodes[LOGITS] = {"in_graph": True}
    edges = {
        graph.name(i): {"score": float(scores[i]), "in_graph": bool(chosen[i])}
        for i in range(graph.edges)
    }
    cfg = {theirs: getattr(graph, ours) for theirs, ours in SIZES.items()}
    text = json.dumps({"cfg": cfg, "nodes": nodes, "edges": edges})
    return write_whole(path, text, "graph")


def load_mib(path: str | Path, graph: Graph) -> MibGraph:
    """Read a graph file for a model's graph: scores, a circuit, or both.

    As MIB does it, what a file leaves out is not in the circuit: edges may be those of a circuit
    alone, without scores, nodes may be missing, and `in_graph` may be 0 or 1. A node that is left
    out counts as in the circuit where one of its edges is.

    Args:
        path: A `.json` file as MIB writes it.
        graph: The graph of the model that the file is about.

    Raises:
        CircuitError: It is no such file, is pickled (`.pt`), has neurons, or belongs to a model
            of other sizes (which are said).
    """
    path = require_json(path)
    read = read_json(path, f"The graph file {path}", CircuitError)
    try:
        cfg, nodes, edges = read["cfg"], read["nodes"], read["edges"]
        _same_sizes(path, cfg, graph)
        _known(path, "edges", edges, [*graph.numbers])
        _known(path, "nodes", nodes, [*graph.sources, LOGITS])
        if any("neurons" in node for node in nodes.values()):
            raise CircuitError(f"The graph file {path}", "it chooses single neurons of nodes")
        chosen = np.array([_flag(edges.get(name, _ABSENT)) for name in graph.numbers], dtype=bool)
        writes = np.zeros(len(graph.sources), dtype=bool)
        writes[graph.ends[chosen, 0]] = True
        found = MibGraph(
            graph,
            np.array([_score(edges.get(name, _ABSENT)) for name in graph.numbers]),
            chosen,
            np.array(
                [
                    _flag(nodes[name]) if name in nodes else bool(writes[i])
                    for i, name in enumerate(graph.sources)
                ],
                dtype=bool,
            ),
            np.array([_score(nodes.get(name, _ABSENT)) for name in graph.sources]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CircuitError(
            f"The graph file {path}",
            f"it is not laid out as MIB's are ({type(error).__name__}: {error})",
            "It needs cfg, nodes and edges, each edge in_graph (true, false, 0 or 1), and a score "
            "where it has one.",
        ) from None
    for name in graph.numbers:
        if "score" in edges.get(name, _ABSENT) and not math.isfinite(edges[name]["score"]):
            raise CircuitError(f"The graph file {path}", f"the score of {name} is NaN or infinite")
    return found


def require_scores(path: str | Path, found: MibGraph) -> NDArray[np.float64]:
    """The scores of a file, refused where it has none: a circuit alone is no order of edges.

    Where some edges have scores those that the file leaves out count 0, as MIB's loader has them.

    Args:
        path: Named in the error.
        found: What `load_mib` read there.

    Raises:
        CircuitError: No edge has a score.
    """
    if np.isnan(found.scores).all():
        raise CircuitError(
            f"The order of edges in {path}",
            "no edge has a score: it is a circuit of one size",
            "Give a file with a score for each edge.",
        )
    return np.nan_to_num(found.scores, nan=0.0)


_ABSENT: dict[str, Any] = {"in_graph": False}
"""What is not in a file: not in the circuit, and without a score."""


def _score(entry: dict[str, Any]) -> float:
    value = entry.get("score", math.nan)
    # Not float() alone, which reads "0.5" and true as numbers.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a score is {value!r}")
    if isinstance(value, int) and int(float(value)) != value:
        raise ValueError(f"a score is {value}, which float64 does not hold")
    return float(value)


def _flag(entry: dict[str, Any]) -> bool:
    value = entry["in_graph"]
    if not isinstance(value, bool | int | float) or value not in (0, 1):
        raise ValueError(f"in_graph is {value!r}")
    return bool(value)


def require_json(path: str | Path) -> Path:
    """A graph file's path, refused where its ending is another.

    Args:
        path: Where the file is, or is to be.

    Raises:
        CircuitError: It is not `.json`.
    """
    path = Path(path)
    if path.suffix != ".json":
        raise CircuitError(
            f"The graph file {path}",
            f"it is not JSON but '{path.suffix}'",
            "Pickled files can run any code when they are read. MIB writes JSON with to_json.",
        )
    return path


def _same_sizes(path: Path, cfg: dict[str, Any], graph: Graph) -> None:
    apart = [
        f"{theirs} is {cfg.get(theirs)}, the model's {getattr(graph, ours)}"
        for theirs, ours in SIZES.items()
        if cfg.get(theirs) != getattr(graph, ours)
    ]
    if apart:
        raise CircuitError(
            f"The graph file {path}",
            "it belongs to another model: " + "; ".join(apart),
            "Heads are query heads: MIB's graphs have keys and values for each of them.",
        )


def _known(path: Path, what: str, found: dict[str, Any], known: list[str]) -> None:
    extra = sorted(set(found) - set(known))
    if extra:
        raise CircuitError(
            f"The graph file {path}",
            f"it has {what} that the model has not, such as {extra[0]}",
            near_matches(extra[0], known),
        )
