"""Stated explanations, one file each. A new file here is found by itself."""

from __future__ import annotations

from unexplained.errors import ExplanationError
from unexplained.explanations.protocol import Explanation
from unexplained.registry import Registry

LIBRARY: Registry[Explanation] = Registry("explanation", __name__, ExplanationError)
