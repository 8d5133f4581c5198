"""Consoles on which nothing that is written can steer the terminal or be read as markup."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from unexplained import visible


class Visible(Console):
    r"""A console for text of any origin: strings are what they are, controls become visible.

    >>> import io
    >>> console = Visible(file=io.StringIO(), width=60)
    >>> console.print("[bold]a\x1b[31mb")
    >>> console.file.getvalue()
    '[bold]a⟨U+001B⟩[31mb\n'
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, **how})

    def render_str(self, text: str, **how: Any) -> Text:  # type: ignore[override]
        """A string as text, before rich takes some controls away and measures the others."""
        return super().render_str(visible.prose(text), **how)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """What is written, piece by piece; rich's own controls are pieces of their own."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible.prose(segment.text), segment.style)
