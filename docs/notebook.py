"""Notebooks of pages that are also code: `docs/tutorial.md` and `docs/smollm2.md`, cell by cell.

python docs/notebook.py            # write docs/*.ipynb from the pages
python docs/notebook.py --execute  # and run them (`make notebooks` does; jupyter's nbclient)
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
PAGES = ("tutorial.md", "smollm2.md")
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


def execute(path: Path, to: Path) -> None:
    """Run every cell, and keep what they print."""
    import nbformat
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    found = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as here:  # where the pages that it writes go
        kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{here}/kernel")
        NotebookClient(
            found, km=kernel, timeout=1800, resources={"metadata": {"path": here}}
        ).execute()
    to.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(found, to)


def main() -> None:
    """Write the notebooks; run them if asked to, into `site/notebooks`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--execute", action="store_true")
    asked = parser.parse_args()
    for name in PAGES:
        page = HERE / name
        path = page.with_suffix(".ipynb")
        path.write_text(as_text(page.read_text(encoding="utf-8")), encoding="utf-8")
        if asked.execute:
            execute(path, HERE.parent / "site" / "notebooks" / path.name)


if __name__ == "__main__":
    main()
