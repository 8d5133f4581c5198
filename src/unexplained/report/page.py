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

from unexplained.errors import RecordError
from unexplained.places import write_whole
from unexplained.record import (
    FamilyRecord,
    Header,
    Record,
    RewriteRecord,
    SizesRecord,
    TasksRecord,
)
from unexplained.record import format as fmt
from unexplained.report import (
    charts,
    compute,
    families,
    glossary,
    narrow,
    panels,
    plots,
    replacing,
    rewrites,
    sizes,
    tables,
    visible,
    weaker,
)
from unexplained.report.drawable import drawable
from unexplained.report.drawn import BLOCKS, Drawn, drawn
from unexplained.report.pen import Pen

TEMPLATES = Path(__file__).parent / "templates"
VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "wbr"})


def write_report(record: Header, path: str | Path) -> Path:
    """Draw a record as one self-contained HTML file.

    The file appears under its name only when it is complete.

    Raises:
        RecordError: The file cannot be written there.
    """
    return write_whole(Path(path), render(record), "report")


def render(record: Header) -> str:
    """The page as a string of HTML.

    It is drawn from the record alone; the same record gives the same page.

    Raises:
        RecordError: Nobody has said how this kind of record is drawn, or its numbers cannot be.
    """
    with drawable(record):
        return _page(record)


def _page(record: Header) -> str:
    templates = environment()
    if isinstance(record, Record) or getattr(record, "kind", "") in BLOCKS:
        body, reproduce = _blocks(drawn(record))
    else:
        body = _body(record)
        reproduce = templates.get_template("reproduce.html.j2").render(record=record)
    script = _asset("tokens.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return templates.get_template("page.html.j2").render(
        record=record,
        body=Markup(body),
        reproduce=Markup(reproduce),
        terms=glossary.used_in(plain_text(body + reproduce)),
        style=Markup(_asset("style.css")),
        script=Markup(script),
        script_hash=digest,
    )


def _body(record: Header) -> str:
    """What the page of a kind of record has above its glossary."""
    if isinstance(record, RewriteRecord):
        return _drawn(
            "rewrite",
            record,
            notes=rewrites.notes(record),
            plot=replacing.plot(record),
            whole=rewrites.measured(record),
            told=record.text_notes,
        )
    if isinstance(record, SizesRecord):
        return _drawn("sizes", record, notes=sizes.notes(record), plot=sizes.plot(record))
    if isinstance(record, FamilyRecord):
        return _drawn(
            "family",
            record,
            notes=families.notes(record),
            ladder=record.scale,
            plot=compute.plot(families.Shown(record.scale)),
            anchor="family",
            told=record.text_notes,
        )
    if isinstance(record, TasksRecord):
        return _drawn("tasks", record, notes=narrow.notes(record), drawn=panels.panels(record))
    raise RecordError(f"A page of {type(record).__name__}", "there is no such page")


def _blocks(record: Drawn) -> tuple[str, str]:
    """What the page has above and below its glossary."""
    pen = Pen(record)
    templates = environment()
    body = templates.get_template("record.html.j2").render(drawn=record, pen=pen)
    return body, templates.get_template("sheet.html.j2").render(drawn=record)


def _drawn(kind: str, record: Header, **given: object) -> str:
    return environment().get_template(f"{kind}.html.j2").render(record=record, **given)


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
    templates.globals |= {"fmt": fmt, "charts": charts, "tables": tables}
    templates.globals |= {"compute": compute, "weaker": weaker}
    templates.globals |= {"rewrites": rewrites, "sizes": sizes, "narrow": narrow, "plots": plots}
    templates.globals |= {"families": families}
    templates.filters |= {"token": visible.token, "signed": fmt.signed, "count": fmt.count}
    return templates


@cache
def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
