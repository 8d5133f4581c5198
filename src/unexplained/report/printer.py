"""Blocks in the terminal: tables with fewer columns where it is narrow, never with fewer digits."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from unexplained import visible
from unexplained.errors import RecordError, near_matches
from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Block,
    Cell,
    Checks,
    Prose,
    Row,
    Section,
    Style,
    Table,
    Tokens,
)
from unexplained.report.charts import about
from unexplained.report.drawn import Drawn, Notes
from unexplained.report.screen import folds, sections
from unexplained.report.tables import answered, without_refused

BESIDE = 3
"""Columns between two cells."""
NAME = 18
"""Columns that a row's name keeps where there is little room."""
LEAST = 10
"""Columns that it has at least."""
SCREEN = 40
"""Lines of an answer with all that stands around it: what does not fit is left to `--full`, and is counted."""
FEWEST = 3
"""Rows that words do not take the place of: where they would, words are cut."""
SHORTER = (0, 6, 4, 3, 2, 1)
"""Lines that a paragraph takes at most, tried in this order until all fits; 0 is as many as it has."""
VERDICT = 4
"""Times as many that the verdict takes."""
OWN = re.compile(r"'[^']*'|−?\d[\d,.]*%?(?: million| billion)?")
"""What two reasons of one kind may differ in: names of conditions, and numbers."""
STYLES = {"explanation": "bold", "intact": "dim", "ablation": "dim"}


class Tables:
    """Prints tables and controls; every refused number that it writes has its note taken."""

    def __init__(self, console: Console, needed: str = "tokens") -> None:
        self.console, self.notes = console, Notes(needed)

    def table(self, table: Table) -> None:
        """Print a table, in as many parts as the width takes."""
        if table.facts:
            self._facts(table)
        else:
            self.say(" · ".join(filter(None, (table.title, table.caption))), "dim")
            self._side_by_side(*without_refused(table, self.notes.needed))

    def _side_by_side(self, table: Table, refused: str) -> None:
        widths = self._widths(table)
        for columns in self._fitting(table, widths):
            self.console.print(self._part(table, {i: widths[i] for i in columns}))
        self.say(refused, "dim")

    def _facts(self, table: Table) -> None:
        if table.title:
            self.say(table.title, "bold")
        for row in table.rows:
            cell = row.cells[0]
            style = table.columns[0].style
            words = f"{self._written(cell, style)} {fmt.unit(cell, style)}".rstrip()
            note = f" ({row.note})" if row.note else ""
            self.say(f"{row.name}{note}: {words}")

    def _widths(self, table: Table) -> list[int]:
        """How wide each column has to be for its numbers; headings wrap between words."""
        return [
            max(
                _longest(column.heading, f"({column.note})" if column.note else "", column.group),
                *(len(self._written(row.cells[i], column.style)) for row in table.rows
                  if not column.words),
                1,
            )
            for i, column in enumerate(table.columns)
        ]  # fmt: skip

    def _fitting(self, table: Table, widths: Sequence[int]) -> list[list[int]]:
        """Columns that have room side by side, in as many tables as it takes."""
        names = max(LEAST, _longest(table.corner), *(len(_name(row)) for row in table.rows))
        room = self.console.width - min(names, max(NAME, self.console.width // 3)) - 2 * BESIDE
        found: list[list[int]] = [[]]
        left = room
        for i, width in enumerate(widths):
            if found[-1] and width + BESIDE > left:
                found.append([])
                left = room
            found[-1].append(i)
            left -= width + BESIDE
        return [columns for columns in found if columns]

    def _part(self, table: Table, widths: Mapping[int, int]) -> RichTable:
        drawn = _empty()
        drawn.add_column(_plain(table.corner), min_width=LEAST, overflow="fold")
        for i, width in widths.items():
            column = table.columns[i]
            group = f"{column.group}: " if column.group else ""
            heading = f"{group}{column.heading}" + (f" ({column.note})" if column.note else "")
            drawn.add_column(
                _plain(heading), justify="left" if column.words else "right", overflow="fold",
                width=None if column.words else width, min_width=width,
            )  # fmt: skip
        for row in table.rows:
            if all(row.cells[i] is None for i in widths) and len(widths) < len(table.columns):
                continue  # what it has stands beside its name in another part
            cells = [_plain(self._written(row.cells[i], table.columns[i].style)) for i in widths]
            drawn.add_row(_plain(_name(row)), *cells, style=STYLES.get(row.role, ""))
        return drawn

    def checks(self, block: Checks) -> None:
        """Print controls with what they had to give and gave."""
        if not block.checks:
            return
        self.say(" · ".join(filter(None, (block.title, block.caption))), "dim")
        drawn = _empty()
        found = max(len(self._written(check.found, "plain")) for check in block.checks)
        for heading in ("control", "on", "expected", "found", ""):
            width = found if heading == "found" else None
            drawn.add_column(heading, overflow="fold", width=width)
        for check in block.checks:
            drawn.add_row(
                _plain(check.name), _plain(check.text), _plain(check.expected),
                _plain(self._written(check.found, "plain")),
                Text("cannot tell", "yellow") if not check.applies
                else Text("holds", "green") if check.holds
                else Text("FAILED", "bold red"),
            )  # fmt: skip
        self.console.print(drawn)

    def _written(self, cell: Cell, style: Style) -> str:
        shown = fmt.cell(cell, style)
        if isinstance(cell, Number) and cell.unsaid:
            return f"{shown} [{self.notes.of(cell)}]"
        return str(shown)

    def say(self, words: str, style: str = "") -> None:
        """Print a line of words, if there are any."""
        if words:
            self.console.print(_plain(words, style))

    def reasons(self) -> None:
        """Why numbers were refused."""
        for note, reason in self.notes.items():
            self.say(f"[{note}] {reason}", "dim")


class Printer(Tables):
    """Prints one record."""

    def __init__(self, drawn: Drawn, console: Console, *, full: bool = False) -> None:
        super().__init__(console, drawn.record.needed)
        self.drawn, self.full = drawn, full
        self.most = SHORTER[0]

    def verdict(self) -> None:
        """The verdict, and controls that failed."""
        self.say(self._brief(self.drawn.record.verdict, VERDICT), "bold")
        if self.drawn.failed:
            failed = [f"{check.name} ({check.text})" for check in self.drawn.failed]
            names = fmt.in_short(failed, most=5)
            many = f"{len(self.drawn.failed)} of {len(self.drawn.checks)} CONTROLS FAILED"
            self.say(self._brief(f"{many}: {names}"), "bold red")
            self.say(self._brief(self.drawn.alarm))

    def record(self) -> None:
        """Title and verdict; then the answer, or all of it; why numbers were refused."""
        answer = self.drawn.answer
        if answer is None or self.full:
            self._opening()
            self.blocks(self.drawn.record.blocks)
            self.reasons()
            return
        many = len(answer.rows)
        for self.most in SHORTER:
            least = 1 if self.most == SHORTER[-1] else FEWEST
            for rows in range(many, min(many, least) - 1, -1):
                with self.console.capture() as tried:
                    self._screen(answer, rows)
                if tried.get().count("\n") <= SCREEN:
                    self._screen(answer, rows)
                    return
        self._screen(answer, rows)

    def _brief(self, words: str, times: int = 1) -> str:
        """Words in as many lines as there is room for; what is cut is seen to be, and `--full` has it."""
        return _cut(words, self.most * times * self.console.width) if self.most else words

    def _opening(self) -> None:
        self.say(self._brief(self.drawn.record.title), "dim")
        self.verdict()

    def _screen(self, answer: Answer, rows: int) -> None:
        """The answer with so many of its rows, and where the rest is."""
        record, self.notes = self.drawn.record, Notes(self.drawn.record.needed)
        self._opening()
        self._answer(answer, rows)
        self._kinds_of_reasons(self._brief(record.verdict, VERDICT))
        titles = "; ".join(fold.title for fold in folds(record.blocks))
        self.say(self._brief(f"More on the page, with --full, or --section: {titles}", 2), "dim")

    def _kinds_of_reasons(self, said: str) -> None:
        """Why numbers were refused: each kind of reason once, and not again what is said above."""
        kinds: dict[str, list[int]] = {}
        reasons = dict(self.notes.items())
        for note, reason in reasons.items():
            kinds.setdefault(OWN.sub("", reason), []).append(note)
        for first, *others in list(kinds.values())[: self.most or None]:
            reason = "as said above" if reasons[first] in said else reasons[first]
            self.say(self._brief(f"[{first}] {reason}"), "dim")
            if others:
                notes = ", ".join(f"[{note}]" for note in others)
                whose = "its" if len(others) == 1 else "their"
                self.say(self._brief(f"{notes} likewise, by numbers of {whose} own: --full"), "dim")
        self._left(len(kinds), self.most or len(kinds), "kind", " of reasons")

    def _left(self, many: int, most: int, one: str, of: str = "") -> None:
        """How many of what is listed are left out."""
        if most < many:
            words = f"{many - most} {one}{'s' * (many - most > 1)}"
            self.say(f"{words}{of} more with --full.", "dim")

    def section(self, name: str) -> None:
        """The sections of a title or an id, and why numbers in them were refused.

        Raises:
            RecordError: There is none.
        """
        record = self.drawn.record
        every = dict(sections(record.blocks))
        wanted = {
            id: one
            for id, one in every.items()
            if name.casefold() in (id.casefold(), one.title.casefold())
        }
        if not wanted:
            titles = dict.fromkeys(one.title for one in every.values())
            raise RecordError(f"The section '{name}' of the record '{record.title}'", "it has none of that title or id",
                              near_matches(name, titles))  # fmt: skip
        for id, one in wanted.items():
            self.console.print()
            self.say(f"{one.title} ({id})" if len(wanted) > 1 else one.title, "bold underline")
            self.blocks(one.blocks)
        self.reasons()

    def blocks(self, blocks: Iterable[Block]) -> None:
        """Print blocks in order; pictures are drawn on the page alone, from the same tables."""
        for block in blocks:
            match block:
                case Section():
                    self.console.print()
                    self.say(block.title, "bold underline")
                    self.blocks(block.blocks)
                case Prose():
                    self.say(self._prose(block), "dim" if block.manner != "text" else "")
                case Table():
                    self.table(block)
                case Checks():
                    self.checks(block)
                case Tokens():
                    self._contexts(block)

    def _contexts(self, block: Tokens) -> None:
        """Single tokens in what stands around them; whole documents are shown on the page alone."""
        shown = [one for one in block.examples if one.at is not None]
        if shown:
            self.say(" · ".join(filter(None, (block.title, block.caption))), "dim")
        for one in shown:
            words = [visible.token(token.text) for token in one.tokens]
            words[one.at or 0] = f"⟦{words[one.at or 0]}⟧"
            self.say(f"…{''.join(words)}…")
            self.say(f"   {about(one)}", "dim")

    def _answer(self, answer: Answer, most: int) -> None:
        """The answer's first rows, and in lines of their own what its shares are shares of."""
        table = answered(answer, lambda cell: self.drawn.at("", cell))
        many = len(answer.rows)
        # What is refused throughout is so in rows that are left out too.
        shown, refused = without_refused(
            table.model_copy(update={"rows": table.rows[:many]}), self.notes.needed
        )
        rows = [
            row.model_copy(update={"name": self._brief(_name(row)), "note": ""})
            for row in shown.rows[:most]
        ]
        columns = shown.columns
        if self.most == SHORTER[-1]:
            columns = tuple(one.model_copy(update={"note": ""}) for one in columns)
        self._rows(
            shown.model_copy(update={"rows": tuple(rows), "columns": columns}), self._brief(refused)
        )
        self._left(many, most, "row")
        self.say(self._brief(answer.says), "dim")
        # Of “Recovered on webmix” and “Recovered on repeats” what differs: a cost was not recovered.
        shared = os.path.commonprefix(  # noqa: RUF071  (of letters, which is what is wanted)
            [c.heading for c in table.columns]
        ).rpartition(" ")[0]
        lines: dict[tuple[str, str], list[str]] = {}
        for row in table.rows[many:]:
            cells = [(c.heading.removeprefix(shared).strip(), self._written(cell, c.style))
                     for c, cell in zip(table.columns, row.cells, strict=True) if cell is not None]  # fmt: skip
            said = (f"{words} ({heading})" if len(cells) > 1 else words for heading, words in cells)
            # What was refused for one reason is named together.
            apart = (
                ""
                if all(fmt.cell(cell, "plain").refused for cell in row.cells if cell is not None)
                else row.key
            )
            lines.setdefault(("; ".join(said), apart), []).append(_name(row))
        for (words, _), names in list(lines.items())[: self.most or None]:
            self.say(f"{self._brief('; '.join(names))}: {words}", "dim")
        self._left(len(lines), self.most or len(lines), "line")

    def _rows(self, shown: Table, refused: str) -> None:
        """An answer's table; where its columns have no room side by side, below each name, once."""
        if len(self._fitting(shown, self._widths(shown))) < 2:
            self._side_by_side(shown, refused)
            return
        width = self.console.width
        self.console.print()
        self.say(shown.corner and f"{shown.corner}:", "dim")
        for i, row in enumerate(shown.rows):
            self.say(_name(row), STYLES.get(row.role, ""))
            for column, cell in zip(shown.columns, row.cells, strict=True):
                if cell is None:
                    continue
                words = _plain(self._written(cell, column.style))
                heading = f"{column.group}: {column.heading}" if column.group else column.heading
                if self.most == SHORTER[-1]:
                    heading = _cut(heading, width - len(words) - 2 * BESIDE)
                note = f" ({column.note})" if column.note and not i else ""
                name = _plain(_short(heading, note, width - len(words) - BESIDE))
                gap = " " * max(1, width - len(name) - len(words) - BESIDE)
                self.console.print(Text(" " * BESIDE) + name + Text(gap) + words)
        self.console.print()
        self.say(refused, "dim")

    def _prose(self, block: Prose) -> str:
        return f"“{block.words}” {block.source}" if block.manner == "quote" else block.words


def _name(row: Row | AnswerRow) -> str:
    return f"{row.name} ({row.note})" if row.note else row.name


def _short(heading: str, note: str, room: int) -> str:
    """A heading with its note where there is room for both."""
    return heading + note if len(heading) + len(note) < room else heading


def _cut(words: str, room: int) -> str:
    """The first words for which there is room, and that there were more."""
    return words if len(words) <= room else words[: room - 2].rsplit(" ", 1)[0] + " …"


def _longest(*words: str) -> int:
    """The longest word of a heading: headings wrap, numbers do not."""
    return max((len(word) for word in " ".join(words).split()), default=1)


def _plain(words: str, style: str = "") -> Text:
    """Text as it is: no markup is read from it, and it cannot steer the terminal."""
    return Text(visible.line(words), style=style)


def _empty() -> RichTable:
    return RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
