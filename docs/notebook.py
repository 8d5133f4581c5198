"""Notebooks of pages that are also code: `docs/tutorial.md` and `docs/smollm2.md`, cell by cell.

python docs/notebook.py            # write docs/*.ipynb from the pages
python docs/notebook.py --execute  # and run them (`make notebooks` does; jupyter's nbclient)

What was run is kept in `runs/notebooks`, outside the site that `make docs` clears; `docs/generate.py`
puts it on the site, and below each cell of the page what the cell gave.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import fill
from typing import Any

HERE = Path(__file__).parent
PAGES = ("tutorial.md", "smollm2.md")
COLUMNS = "92"
"""How wide tables are printed: what the site's text column shows on a laptop without scrolling."""
RUN = HERE.parent / "runs" / "notebooks"
"""Where notebooks are with what their cells gave."""
CODE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def notebook_of(page: str) -> dict[str, Any]:
    """The page as a notebook (nbformat 4.5): its code as cells, what stands between as Markdown."""
    cells: list[dict[str, Any]] = []
    for i, part in enumerate(CODE.split(page)):
        source = part.strip().splitlines(keepends=True)
        if not source:
            continue
        cell = {"id": f"cell-{len(cells)}", "metadata": {}, "source": source}
        if i % 2:
            cell |= {"cell_type": "code", "execution_count": None, "outputs": []}
        else:
            cell |= {"cell_type": "markdown"}
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def as_text(page: str) -> str:
    """The notebook's file."""
    return json.dumps(notebook_of(page), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def runs_page(path: Path, page: Path) -> bool:
    """Whether the cells of a notebook that was run are those of the page as it is now."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    wanted = notebook_of(page.read_text(encoding="utf-8"))["cells"]
    return ["".join(one["source"]) for one in cells] == ["".join(one["source"]) for one in wanted]


def with_outputs(found: dict[str, Any], picture: Callable[[str, bytes], str]) -> str:
    """A notebook that was run as a page: below each cell's code what it gave.

    Args:
        found: The notebook, as `json.loads` reads it.
        picture: Keeps an image, given how its name ends and its bytes, and says where.
    """
    parts = []
    for cell in found["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            if output.get("name") == "stderr":
                continue
            data = output.get("data", {})
            if "image/png" in data:
                place = picture("png", base64.b64decode("".join(data["image/png"])))
                parts.append(f"![What the cell above draws]({place})")
            elif said := "".join(output.get("text") or data.get("text/plain", "")).strip("\n"):
                parts.append(f"```text\n{folded(said)}\n```")
    return "\n\n".join(parts) + "\n"


def folded(words: str) -> str:
    """Sentences cut to the width of tables; what has columns stays as it is."""
    return "\n".join(
        line if "  " in line else fill(line, int(COLUMNS), break_long_words=False)
        for line in words.splitlines()
    )


def execute(path: Path, to: Path) -> None:
    """Run every cell, and keep what they print."""
    import nbformat
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    found = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as here:  # where the pages that it writes go
        kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{here}/kernel")
        client = NotebookClient(
            found, km=kernel, timeout=1800, resources={"metadata": {"path": here}}
        )
        client.execute(env={**os.environ, "COLUMNS": COLUMNS})
    to.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(found, to)


def main() -> None:
    """Write the notebooks; run them if asked to, into `runs/notebooks`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--execute", action="store_true")
    asked = parser.parse_args()
    for name in PAGES:
        page = HERE / name
        path = page.with_suffix(".ipynb")
        path.write_text(as_text(page.read_text(encoding="utf-8")), encoding="utf-8")
        if asked.execute:
            execute(path, RUN / path.name)


if __name__ == "__main__":
    main()
