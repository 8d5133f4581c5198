"""A record as one HTML page that needs nothing else: no network, fonts or packages."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from unexplained import visible
from unexplained.places import write_whole
from unexplained.record import Record
from unexplained.record import format as fmt
from unexplained.report import charts, glossary, plots
from unexplained.report.drawable import drawable
from unexplained.report.drawn import drawn
from unexplained.report.pen import Pen

TEMPLATES = Path(__file__).parent / "templates"
VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "wbr"})


def write_report(record: Record, path: str | Path) -> Path:
    """Draw a record as one self-contained HTML file.

    The file appears under its name only when it is complete.

    Args:
        record: What an instrument gave.
        path: The HTML file.

    Raises:
        RecordError: The file cannot be written there.
    """
    return write_whole(Path(path), render(record), "report")


def render(record: Record) -> str:
    """The page as a string of HTML.

    It is drawn from the record alone; the same record gives the same page.

    Raises:
        RecordError: Nobody has said how this kind of record is drawn, or its numbers cannot be.
    """
    with drawable(record):
        return _page(record)


def _page(record: Record) -> str:
    templates = environment()
    given = drawn(record)
    pen = Pen(given)
    # In the order of the page, by which notes are numbered.
    first, body, sheet = (
        templates.get_template(f"{part}.html.j2").render(drawn=given, pen=pen)
        for part in ("first", "record", "sheet")
    )
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return templates.get_template("page.html.j2").render(
        record=record,
        drawn=given,
        pen=pen,
        first=Markup(first),
        body=Markup(body),
        reproduce=Markup(sheet),
        words=glossary.used_in(plain_text(first), meanings=False),
        terms=glossary.used_in(plain_text(first + body + sheet)),
        style=Markup(_asset("style.css")),
        script=Markup(script),
        script_hash=digest,
    )


def plain_text(html: str) -> str:
    """What a reader sees of some HTML, without what is marked `data-verbatim`.

    Documents' own words are no terms of ours: the glossary must not look among them.

    >>> plain_text("<p>loss <b data-verbatim>KL</b> falls</p>")
    'loss falls'
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return " ".join(" ".join(reader.parts).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID and (self.depth or any(name == "data-verbatim" for name, _ in attrs)):
            self.depth += 1

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self.depth:
            self.depth -= 1

    def handle_data(self, data: str) -> None:
        if not self.depth:
            self.parts.append(data)


def _finish(value: Any) -> Any:
    """Everything that a template prints passes here before it is escaped."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible.prose(value)
    return value


@cache
def environment() -> Environment:
    """The templates, with everything that they print made visible and escaped."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finish,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals |= {"fmt": fmt, "charts": charts, "plots": plots}
    templates.filters |= {"token": visible.token, "signed": fmt.signed, "count": fmt.count}
    return templates


@cache
def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
