"""Look at pages in a browser: how high the first screen is, what sticks out, screenshots.

Needs `pip install playwright` and a Chromium (`CHROMIUM`, or `/usr/bin/chromium`), so it is no test:

    python benchmarks/screens.py OUT [RECORD.json … | --all]

Every record, by default each that is in `results/`, with `--all` also a small one of every registered instrument, measured
now, is drawn and opened at 1,280 and 390 pixels, in the light and the dark. Written to OUT:
the first screen and the whole page with everything open. It fails where the first screen is higher
than 1,200 pixels at 1,280, where the page is wider than its window, where a link of the contents leads
to something that stays closed, or where the script of the page raised an error.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from unexplained.record import load_record
from unexplained.report import write_report

WIDTHS = (1280, 390)
HIGHEST = 1200
MEASURE = """() => {
  const bottom = (one) => one ? Math.round(one.getBoundingClientRect().bottom + scrollY) : null;
  const broken = [...document.querySelectorAll("main *")].filter((one) => {
    const box = one.getBoundingClientRect();
    return box.width && box.right > innerWidth + 1 && !one.closest(".scroll, svg, pre");
  });
  return {
    first: bottom(document.querySelector("header")),
    page: document.documentElement.scrollHeight,
    wide: document.documentElement.scrollWidth - innerWidth,
    broken: broken.slice(0, 3).map((one) => one.outerHTML.slice(0, 120)),
  };
}"""
OPEN = "() => document.querySelectorAll('details').forEach((one) => (one.open = true))"
LED = """() => [...document.querySelectorAll("nav a")].filter((link) => {
  document.querySelectorAll("details").forEach((one) => (one.open = false));
  link.click();
  const target = document.getElementById(link.getAttribute("href").slice(1));
  const inner = target?.querySelector(":scope > details");
  return !target || (inner && !inner.open) || target.parentElement.closest("details:not([open])");
}).map((link) => link.hash)"""


def look(page: Page, drawn: Path, out: Path, width: int) -> list[str]:
    """What is wrong with a page at a width; its screenshots lie in a folder."""
    page.goto(drawn.resolve().as_uri())
    found = page.evaluate(MEASURE)
    print(f"{out.name}: first screen {found['first']} px of {found['page']} px")
    page.screenshot(path=f"{out}-first.png", clip={"x": 0, "y": 0, "width": width, "height": found["first"] + 240}, full_page=True)  # fmt: skip
    faults = [f"closed after a click: {hash}" for hash in page.evaluate(LED)]
    page.evaluate(OPEN)
    opened = page.evaluate(MEASURE)
    print(f"{out.name}: {opened['page']} px with everything open")
    page.screenshot(path=f"{out}-open.png", full_page=True)
    if width == WIDTHS[0] and found["first"] > HIGHEST:
        faults.append(f"the first screen is {found['first']} px high")
    for state in (found, opened):
        faults += [f"wider than the window: {one}" for one in state["broken"] if state["wide"] > 0]
    return [f"{out.name}: {fault}" for fault in faults]


def committed() -> list[Path]:
    """The records in `results/`, which were measured."""
    every = sorted((Path(__file__).parent / "results").glob("*.json"))
    return [one for one in every if json.loads(one.read_text()).get("format") == 2]


def measured(out: Path) -> list[Path]:
    """A small record of every registered instrument and case, as the tests measure it."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from measured import NAMES, record_of

    out.mkdir(parents=True, exist_ok=True)
    return [record_of(name).save(out / f"{name}.json") for name in NAMES]


def main(out: Path, records: list[Path]) -> int:
    """Draw every record, look at it at every width and in both colour schemes."""
    out.mkdir(parents=True, exist_ok=True)
    errors: list[str] = []
    faults: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        for path in records:
            drawn = write_report(load_record(path), out / f"{path.stem}.html")
            for scheme in ("light", "dark"):
                for width in WIDTHS:
                    page = browser.new_page(
                        viewport={"width": width, "height": 800}, color_scheme=scheme
                    )
                    page.on("pageerror", lambda error: errors.append(str(error)))
                    faults += look(page, drawn, out / f"{path.stem}-{width}-{scheme}", width)
                    page.close()
        browser.close()
    print("\n".join(faults + errors) or "nothing wrong")
    return bool(faults + errors)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    folder, given = Path(sys.argv[1]), sys.argv[2:]
    if given == ["--all"]:
        given = [*committed(), *measured(folder)]
    sys.exit(main(folder, [Path(one) for one in given] or committed()))
