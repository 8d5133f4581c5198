"""Draw the README's figure from the demo's record: one claim, one set of heads, two texts.

    python benchmarks/headline.py            # writes docs/headline.svg

A refused number has no dot; an interval beyond the axis ends in an arrow.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import records
from unexplained.record import Record

HERE = Path(__file__).parent
DEMO = HERE / "results" / "demo.json"
TO = HERE.parent / "docs" / "headline.svg"
ROWS = (
    "own attention on targets",
    "long prefix induction",
    "strict induction, affine",
    "strict induction",
    "zero",
    "strict induction, shuffled",
)
"""A few of each role; the page and the results have all."""
SAID = {
    "strict induction": "strict induction (the claim)",
    "zero": "zero ablation (claims nothing)",
    "strict induction, shuffled": "the claim on another document (control)",
}
AXIS = (-0.6, 1.5)


def panel(axes: Axes, record: Record, text: str) -> None:
    """The fractions that rows recover on one text."""
    found = {name: record[f"{text}/recovered/fractions/{name}/against mean"] for name in ROWS}
    for i, (name, number) in enumerate(found.items()):
        colour = "C3" if name == "strict induction" else "0.35"
        if number.value is None or number.low is None or number.high is None:
            continue
        low, high = max(number.low, AXIS[0]), min(number.high, AXIS[1])
        if low < high:
            axes.plot([low, high], [i, i], color=colour, linewidth=2, solid_capstyle="butt")
        for end, beyond, sign in (
            (AXIS[0], number.low < AXIS[0], "<"), (AXIS[1], number.high > AXIS[1], ">")
        ):  # fmt: skip
            if beyond:
                axes.plot([end], [i], marker=sign, color=colour, clip_on=False)
        if AXIS[0] <= number.value <= AXIS[1]:
            axes.plot([number.value], [i], marker="o", color=colour)
    for at in (0, 1):
        axes.axvline(at, color="0.8", linewidth=0.8, zorder=0)
    axes.set_xlim(*AXIS)
    axes.set_xticks([-0.5, 0, 0.5, 1, 1.5], ["−50%", "0%", "50%", "100%", "150%"])
    axes.set_ylim(len(ROWS) - 0.5, -0.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def main() -> None:
    """Write the figure: same record, same bytes."""
    record = records.read(DEMO, "assay")
    matplotlib.rcParams.update({"svg.hashsalt": "unexplained", "svg.fonttype": "none"})
    figure = Figure(figsize=(8.2, 2.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.08})
    for axes, section in zip((left, right), ("text-1", "text-2"), strict=True):
        panel(axes, record, section)
    left.set_title("on web text", fontsize="medium")
    right.set_title("on repeated random tokens", fontsize="medium")
    left.set_yticks(range(len(ROWS)), [SAID.get(name, name) for name in ROWS])
    figure.supxlabel(
        "share of what mean ablation of five heads of SmolLM2-135M costs, 95% intervals",
        fontsize="small",
    )
    figure.savefig(TO, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
