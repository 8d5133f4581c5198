"""A network as a block: nodes, and arrows that point at numbers."""

from __future__ import annotations

from typing import Literal

from unexplained.record.base import Frozen
from unexplained.record.keys import Key, Reference


class Node(Frozen):
    """A node of a network."""

    name: str
    level: int
    """How high it stands: what it reads is written below it."""


class Link(Frozen):
    """An arrow of a network, as thick as its number is large."""

    source: str
    """Name of a node."""
    target: str
    weight: Reference
    port: str = ""
    """At which part of the target it ends, such as a head's `q`."""
    faint: bool = False
    """It is not told from zero."""


class Network(Frozen):
    """What writes to what, from below upwards."""

    block: Literal["network"] = "network"
    key: Key
    title: str = ""
    caption: str = ""
    signs: tuple[str, str] = ("below 0", "above 0")
    """What the two colours mean."""
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
