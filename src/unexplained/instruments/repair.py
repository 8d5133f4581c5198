"""`repair`: what the rest of the model does when a head is ablated (MISSION 19, 44).

Self-repair (McGrath and others 2023; Rushing and Nanda 2024): later parts, and the final norm, undo
some of what an ablated head no longer writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from unexplained import study
from unexplained.record.blocks import Block
from unexplained.study import Headline, Option, Texts, instrument
from unexplained.study.given import Unpriced

if TYPE_CHECKING:
    from unexplained.bars.repair import RoadSums
    from unexplained.evaluate.repair import Roads
    from unexplained.study import Run


def _names(given: Mapping[str, Any]) -> None:
    """Refuse an ablation that there is none of."""
    from unexplained.ablations import ABLATIONS

    ABLATIONS.get(given["ablation"])


@instrument(
    "repair",
    precise="Self-repair",
    before=_names,
    texts=Texts(documents=16, fit_documents=32, fewest=5),
    unpriced=Unpriced("it measures changes of the right token's logit, which are no loss"),
)
def repair(
    run: Run,
    sites: Annotated[str, Option("Heads.")] = "L*.H*",
    *,
    ablation: Annotated[
        str,
        Option(
            "In their place: zero, mean, position mean, resample, optimal constant, matched noise."
        ),
    ] = "resample",
) -> Iterator[Block | Headline]:
    """Self-repair: what later parts and the final norm undo when a head is ablated, head by head.

    In the logit of the right token: total, direct, what later blocks change (against the direct
    change and with it), and what the final norm's scale does.

    Args:
        run: The model and running text; ablations are fitted on its fit part.
        sites: The heads.
        ablation: What stands in their place.

    Raises:
        SiteError: A head does not exist, or a site is no head.
        AblationError: There is no such ablation, or it cannot be fitted.
        MeasurementError: The model is in half precision or caps its logits, or a number is not finite.
    """
    from unexplained.evaluate import Edited
    from unexplained.evaluate.repair import roads
    from unexplained.study import arms

    where = study.asked.components(run.subject, sites, heads=True)
    study.asked.require_fill(ablation, where, run.text)
    study.asked.require_tokens(run.subject, run.text, "eval", "fit")
    made = arms.ablations(run, ablation, [(site,) for site in where])
    conditions = [one.conditions["total"] for one in made]
    found = roads(
        run.subject, run.text, [one for one in conditions if isinstance(one, Edited)],
        folder=run.folder, workers=run.workers, progress=partial(run.say, "ablating every head"),
    )  # fmt: skip
    shown = _summed(found, run)
    yield Headline(f"Self-repair in {run.subject.name}", shown.verdict(), {"Ablation": ablation})
    yield shown.answer()
    yield shown.facts(run.subject.name, run.text.name, ablation)
    yield shown.heads()


def _summed(found: Mapping[str, Roads], run: Run) -> RoadSums:
    """Sums by document, over all predictions and over those where the direct effect is largest."""
    import numpy as np

    from unexplained.bars.repair import TOP, RoadSums
    from unexplained.evaluate.repair import ROADS

    some, counts, every = {}, {}, {}
    for name, one in found.items():
        direct = np.concatenate([rows[:, ROADS.index("direct")] for rows in one.documents])
        bar = np.quantile(direct, TOP)
        chosen = [rows[:, ROADS.index("direct")] <= bar for rows in one.documents]
        pairs = list(zip(one.documents, chosen, strict=True))
        counts[name] = np.array([float(mine.sum()) for mine in chosen])
        some[name] = {
            road: np.array([rows[mine, i].sum() for rows, mine in pairs])
            for i, road in enumerate(ROADS)
        }
        every[name] = {
            road: np.array([rows[:, i].sum() for rows in one.documents])
            for i, road in enumerate(ROADS)
        }
        tokens = np.array([float(len(rows)) for rows in one.documents])
    return RoadSums(some, counts, every, tokens, run.settings)
