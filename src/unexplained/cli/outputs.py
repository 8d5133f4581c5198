"""Where a command's page and record go, and what of the record the terminal shows."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text as Words

from unexplained import visible
from unexplained.cli.shared import OUT
from unexplained.errors import RecordError
from unexplained.places import untaken

if TYPE_CHECKING:
    from unexplained.record import Record
    from unexplained.study.forecast import Forecast


def require_outputs(**paths: Path | None) -> None:
    """Refuse files that cannot be written, or are one file, before anything else is done.

    Args:
        paths: What is written there, such as `report`, and the path; None where nothing is.

    Raises:
        RecordError: One cannot be written, or two are the same.
    """
    from unexplained.places import require_apart, require_writable

    require_apart({what.replace("_", " "): path for what, path in paths.items()})
    for what, path in paths.items():
        if path is not None:
            require_writable(path, what.replace("_", " "))


@dataclass(frozen=True)
class Outputs:
    """Where a command's page and record go, and what of it the terminal shows."""

    report: Path
    record: Path
    full: bool = False
    section: str = ""
    quiet: bool = False
    json: bool = False

    @classmethod
    def named(
        cls, stem: str, out: Path, report: Path | None, record: Path | None, **shown: Any
    ) -> Outputs:
        """Paths that were given, and free ones in a folder for those that were not."""
        free = untaken(out, stem, ("html", "json"))
        return cls(report or free[0], record or free[1], **shown)

    @contextmanager
    def writing(self, **more: Path | None) -> Iterator[list[Record]]:
        """Find out before a measurement that its files can be written; afterwards print and write.

        Put the record into the list that is given.
        """
        from unexplained.report import write_report

        require_outputs(report=self.report, record=self.record, **more)
        made: list[Record] = []
        yield made
        (found,) = made
        found.save(self.record)  # first, so that nothing later can lose what was measured
        write_report(found, self.report)
        try:
            self.show(found)
        except (
            RecordError
        ) as error:  # a section that is not there: nothing has to be measured again
            again = f"unexplained report {visible.name(self.record)} --section …"
            do = f"{error.do} What was measured is written; print it: {again}".strip()
            raise RecordError(error.asked, error.found, do) from error
        finally:
            if not self.json:
                after = f"   Record: {visible.name(self.record)}   ({found.lasted})"
                say_written(self.report, after)

    def show(self, record: Record) -> None:
        """Print the answer, all of it, the verdict alone, or the record itself."""
        from unexplained.report import print_record

        if self.json:
            # Escaped wholly: what is in names cannot steer a terminal.
            sys.stdout.write(json.dumps(record.model_dump(mode="json"), indent=1) + "\n")
        else:
            print_record(record, OUT, full=self.full, quiet=self.quiet, section=self.section)


def say_written(report: Path, more: str = "") -> None:
    """The last line of a command: where its page is, in one piece, so that it can be copied."""
    OUT.print(Words.assemble("Report: ", (visible.name(report), "bold"), more), soft_wrap=True)


def say_forecast(forecast: Forecast, *, json: bool = False, notes: Sequence[str] = ()) -> None:
    """What a dry run found, in the place of a measurement."""
    for words in () if json else notes:
        OUT.print(words, highlight=False)
    OUT.print(forecast.as_json() if json else str(forecast), highlight=False, soft_wrap=json)
