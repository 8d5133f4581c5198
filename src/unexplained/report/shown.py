"""A figure that a notebook shows by itself: without pyplot nobody has told it how."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class FigureShown(Figure):
    """As any figure of matplotlib."""

    def _repr_png_(self) -> bytes:
        """What Jupyter shows."""
        drawn = io.BytesIO()
        self.savefig(drawn, format="png", dpi=100)
        return drawn.getvalue()
