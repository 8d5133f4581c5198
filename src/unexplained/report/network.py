"""A network placed: layers upward, no arrow behind a node.

As Sugiyama, Tagawa and Toda (1981): an arrow that passes a layer has a place of its own there, shared
by all from one source; the places of a layer are ordered by the mean of what they join (few arrows
cross), then pulled towards it as far as those beside them leave room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.blocks import Link, Network

UP = 58.0
"""Pixels from layer to layer: names are 12 px high and keep their size."""
GAP, LANE = 12.0, 12.0
"""Pixels between two places, and the width of one that an arrow passes through."""
EDGE = 24.0
"""Pixels around all."""
HIGH, PORT = 9.0, 13.0
"""Half the height of a node, and pixels between two of its ports."""
THINNEST, THICKEST = 0.8, 7.0
SWEEPS, PULLS = 12, 40

NodePlace = tuple[str, int]
"""A node at its own level, or at a higher one where its arrows pass."""
Spots = dict[NodePlace, float]


@dataclass(frozen=True)
class Spot:
    """A node, placed."""

    name: str
    x: float
    y: float
    half: float
    """Half its width."""
    ports: tuple[tuple[str, float], ...]
    """Parts at which arrows end, and where across."""


@dataclass(frozen=True)
class Arrow:
    """A link, placed."""

    points: tuple[tuple[float, float], ...]
    """Where it is vertical: at its ends, and beside the nodes that it passes."""
    width: float
    falls: bool
    faint: bool
    hover: str

    @property
    def path(self) -> str:
        """As SVG writes it."""
        (x, y), *rest = self.points
        found = f"M{x:.1f},{y:.1f}"
        for to_x, to_y in rest:
            middle = (y + to_y) / 2
            found += f"C{x:.1f},{middle:.1f} {to_x:.1f},{middle:.1f} {to_x:.1f},{to_y:.1f}"
            x, y = to_x, to_y
        return found


@dataclass(frozen=True)
class NetworkPlot:
    """A network, placed, in pixels."""

    width: float
    height: float
    spots: tuple[Spot, ...]
    arrows: tuple[Arrow, ...]
    """The thickest last, on top."""
    omitted: tuple[str, ...]
    """What was refused and is not drawn."""


def plot(block: Network, find: Callable[[str], Number]) -> NetworkPlot | None:
    """A network, placed; None where every number was refused."""
    links = [(link, find(link.weight)) for link in block.links]
    known = [(link, n) for link, n in links if n.value is not None]
    if not known:
        return None
    touched = {name for link, _ in known for name in (link.source, link.target)}
    nodes = [node for node in block.nodes if node.name in touched]
    levels = {level: i for i, level in enumerate(sorted({node.level for node in nodes}))}
    level = {node.name: levels[node.level] for node in nodes}
    x, right = _across([link for link, _ in known], level)
    height = 2 * EDGE + UP * (len(levels) - 1)
    most = max(abs(n.value or 0.0) for _, n in known) or 1.0
    ports = {name: _ports(name, x[name, level[name]], known) for name in level}

    def arrow(link: Link, number: Number) -> Arrow:
        start, end = level[link.source], level[link.target]
        points = [(x[link.source, start], height - EDGE - UP * start - HIGH)]
        for passed in range(start + 1, end):
            y = height - EDGE - UP * passed
            points += [(x[link.source, passed], y + HIGH), (x[link.source, passed], y - HIGH)]
        across = dict(ports[link.target]).get(link.port, x[link.target, end])
        points.append((across, height - EDGE - UP * end + HIGH))
        part = f".{link.port}" * bool(link.port)
        value = number.value or 0.0
        return Arrow(
            tuple(points),
            round(max(THINNEST, THICKEST * abs(value) / most), 1),
            value < 0,
            link.faint,
            f"{link.source} → {link.target}{part}: {fmt.show(number)} {number.unit}",
        )

    known.sort(key=lambda one: abs(one[1].value or 0.0))
    return NetworkPlot(
        right,
        height,
        tuple(
            Spot(name, x[name, at], height - EDGE - UP * at, _wide(name) / 2, ports[name])
            for name, at in level.items()
        ),
        tuple(arrow(link, number) for link, number in known),
        tuple(f"{link.source} → {link.target}" for link, n in links if n.value is None),
    )


def _wide(name: str) -> float:
    return 7.2 * len(name) + 16


def _ports(
    name: str, x: float, known: Iterable[tuple[Link, Number]]
) -> tuple[tuple[str, float], ...]:
    """Where across its lower side each part of a node is."""
    parts = sorted({link.port for link, _ in known if link.target == name and link.port},
                   key="qkv".find)  # fmt: skip
    return tuple((part, x + PORT * (i - (len(parts) - 1) / 2)) for i, part in enumerate(parts))


def _across(links: Sequence[Link], level: Mapping[str, int]) -> tuple[Spots, float]:
    """Where across every place is, and how wide all is."""
    near: dict[NodePlace, list[NodePlace]] = {(name, at): [] for name, at in level.items()}
    for link in links:
        here: NodePlace = link.source, level[link.source]
        for passed in range(here[1] + 1, level[link.target] + 1):
            name = link.target if passed == level[link.target] else link.source
            there: NodePlace = name, passed
            if there not in near.setdefault(here, []):
                near[here].append(there)
                near.setdefault(there, []).append(here)
            here = there
    rows: list[list[NodePlace]] = [[] for _ in range(max(level.values()) + 1)]
    for place in near:
        rows[place[1]].append(place)
    wide = {place: _wide(place[0]) if level[place[0]] == place[1] else LANE for place in near}
    x: Spots = {}
    for row in rows:
        x |= _side_by_side(row, wide)
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 else rows[::-1]:
            row.sort(key=lambda place: _mean(place, near, x))
            x |= _side_by_side(row, wide)
    for pull in range(PULLS):
        for row in rows if pull % 2 else rows[::-1]:
            x |= _pulled(row, [_mean(place, near, x) for place in row], wide)
    left = min(x[place] - wide[place] / 2 for place in near) - EDGE
    right = max(x[place] + wide[place] / 2 for place in near) + EDGE
    return {place: at - left for place, at in x.items()}, right - left


def _mean(place: NodePlace, near: Mapping[NodePlace, Sequence[NodePlace]], x: Spots) -> float:
    joined = near[place]
    return sum(x[other] for other in joined) / len(joined) if joined else x[place]


def _side_by_side(row: Sequence[NodePlace], wide: Mapping[NodePlace, float]) -> Spots:
    """One beside the other around the middle."""
    found, end = {}, -sum(wide[place] + GAP for place in row) / 2
    for place in row:
        found[place] = end + (wide[place] + GAP) / 2
        end += wide[place] + GAP
    return found


def _pulled(
    row: Sequence[NodePlace], to: Sequence[float], wide: Mapping[NodePlace, float]
) -> Spots:
    """As near to where they are pulled as the order and the room leave: from both sides, the mean."""
    apart = [(wide[a] + wide[b]) / 2 + GAP for a, b in pairwise(row)]
    from_left, from_right = list(to), list(to)
    for i, room in enumerate(apart):
        from_left[i + 1] = max(to[i + 1], from_left[i] + room)
    for i in reversed(range(len(apart))):
        from_right[i] = min(to[i], from_right[i + 1] - apart[i])
    return {place: (a + b) / 2 for place, a, b in zip(row, from_left, from_right, strict=True)}
