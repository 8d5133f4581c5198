"""Circuits: which parts of a model a behaviour runs through. Attribution finds candidates.

Its names are fetched when they are first asked for: what one module measured must not depend on the
code of all others.
"""

from typing import TYPE_CHECKING

from unexplained.lazy import face as _face

if TYPE_CHECKING:
    from unexplained.circuits.edges import EdgeScores as EdgeScores
    from unexplained.circuits.edges import attribute_edges as attribute_edges
    from unexplained.circuits.graph import CircuitError as CircuitError
    from unexplained.circuits.graph import Graph as Graph
    from unexplained.circuits.magnitude import edge_sizes as edge_sizes
    from unexplained.circuits.mib import MibGraph as MibGraph
    from unexplained.circuits.mib import load_mib as load_mib
    from unexplained.circuits.mib import require_json as require_json
    from unexplained.circuits.mib import require_scores as require_scores
    from unexplained.circuits.mib import save_mib as save_mib
    from unexplained.circuits.nodes import NodeScores as NodeScores
    from unexplained.circuits.nodes import attribute_nodes as attribute_nodes

__getattr__, __dir__, __all__ = _face(__name__)
