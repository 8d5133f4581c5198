"""Names of what orders edges and nodes. No torch: instruments offer them before a model is loaded."""

from __future__ import annotations

from typing import Literal

EdgeMethod = Literal["eap", "eap-ig-inputs", "eap-ig-activations"]
NodeMethod = Literal["atp", "atp*"]
By = Literal["absolute", "signed"]
"""What edges are ranked by: the size of their score, or the score."""
