"""`suppression`: which heads are copy suppressors, by their finders' definition and by what the model loses (MISSION 33).

Neel Nanda: the copy suppression head, L10H7 of GPT-2 small, is "the best current example" of an explained
component: "we can explain 77%". That is a ratio of KLs on the direct path with the final norm held. Here
it is measured at every head, and beside it the same stand-in in the running model, in loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from unexplained import study
from unexplained.bars import scales
from unexplained.record.blocks import Block, Prose, Role
from unexplained.study import Headline, Option, Texts, instrument
from unexplained.study.given import FAMILY

if TYPE_CHECKING:
    from torch import Tensor

    from unexplained.bars.suppressed_path import OnPath
    from unexplained.bars.suppression import Suppression
    from unexplained.ladder.family import Family
    from unexplained.sites import Site
    from unexplained.study import Arm, Run
    from unexplained.study.axis import Axis

FEWEST = 10
"""Documents: five that choose the heads, five that score them."""
CONTROLS = 10
"""Heads beside the best: those whose mean costs most among the others."""


@instrument(
    "suppression",
    precise="Copy suppression",
    texts=Texts(documents=48, fit_documents=48, fewest=FEWEST),
)
def suppression(
    run: Run,
    sites: Annotated[str, Option("Heads.")] = "L*.H*",
    *,
    predictions: Annotated[
        int, Option("Of every document, on the direct path; drawn by its hash.", least=1)
    ] = 32,
    best: Annotated[int, Option("How many heads are put to the test in the model.", least=1)] = 10,
    family: Annotated[Family | None, FAMILY] = None,
) -> Iterator[Block | Headline]:
    """Copy suppression: heads that lower what is about to be copied, by definition and in loss.

    By the definition of McDougall, Conmy, Rushing, McGrath and Nanda (2023) at every head: the direct
    path, the final norm held, a ratio of KLs, with OV and QK cut down together and apart. Then the same
    stand-in in the running model, in nats per token, for the best heads and as many strong others, and for the
    best one in training compute. The best are chosen on half of the documents and scored on the other half.

    Args:
        run: The model and running text; heads' means by position are taken on its fit part.
        sites: The heads.
        predictions: Of every document, as many are measured on the direct path.
        best: How many heads are measured in the running model; ten strong others stand beside them.
        family: Weaker models that losses are placed among; the ladder's if not given.

    Raises:
        SiteError: A head does not exist, or a site is no head.
        MeasurementError: The model is in half precision, caps its logits or has a norm between attention and
            stream; or a number is not finite.
        TextError: There are too few documents.
        UnexplainedError: As `axis_of`, of the family.
    """
    from unexplained.study.axis import axis_of

    where = _asked(run, sites)
    text = run.text
    choosing, scoring = text.halves()
    axis = axis_of(run.on(scoring), family)
    means = _means(run, where)
    every, units = _path(run, where, means, predictions)
    twin = run.of(run.subject.twin(run.settings.seed)).on(study.twins.few(text))
    with run.timed(study.twins.TWIN):
        random, _ = _path(twin, where, _means(twin, where), max(1, predictions // 4))
    chose = [unit in choosing.units for unit in units]
    found = _shown(axis, where, means, every, chose, random, best)
    yield Headline(f"Copy suppression in {run.subject.name}", found.verdict(), {"Heads": sites})
    yield found.answer()
    yield found.facts(text, sum(chose), len(chose) - sum(chose), predictions)
    yield found.definition()
    yield found.total()
    yield _compute(found)
    yield found.best_head()
    yield found.every()


def _compute(found: Suppression) -> Block:
    """The best head in training compute; why not, where no family places the model."""
    if found.scale is None:
        return Prose(words=scales.NO_LADDER, manner="aside")
    mean, kept = found.means[found.best[0]], found.kept[found.best[0]]
    roles: dict[str, Role] = dict.fromkeys(kept.values(), "control")
    roles |= {mean: "ablation", kept["both"]: "explanation"}
    return scales.compute(found.scale, roles)


def _asked(run: Run, sites: str) -> tuple[Site, ...]:
    """Refuse what cannot be measured, before anything is run."""
    from unexplained.errors import TextError
    from unexplained.evaluate.copying import Unembedding

    asked, subject, text = study.asked, run.subject, run.text
    where = asked.components(subject, sites, heads=True)
    Unembedding.of(subject)
    asked.require_fill("position mean", where, text)
    asked.require_tokens(subject, text, "eval", "fit")
    if len(text.units) < FEWEST:
        raise TextError(
            f"Copy suppression on {len(text.units)} documents",
            "half of them choose the best heads and the others score them",
            f"Use at least {FEWEST} documents (documents=…; --documents).",
        )
    asked.require_folder(run.folder, subject)
    return where


def _means(run: Run, where: Sequence[Site]) -> Tensor:
    """Every head's mean z by position, as far as the longest document, (head, position, head size)."""
    import torch

    from unexplained.ablations.position_mean import means_by_position, reaching

    seen = run.observe([site.at("z") for site in where])
    longest = max(len(block.tokens) for block in run.text.eval)
    return torch.stack(
        [reaching(*means_by_position(seen, site.at("z")), longest) for site in where]
    )


def _path(
    run: Run, where: Sequence[Site], means: Tensor, predictions: int
) -> tuple[OnPath, tuple[str, ...]]:
    """The direct path of every head, and the units of the documents."""
    from unexplained.bars.suppressed_path import OnPath
    from unexplained.evaluate.suppression import CONDITIONS, direct_path

    found = direct_path(
        run.subject, run.text, where, means, predictions=predictions, seed=run.settings.seed,
        **run.how("copy suppression on the direct path"),
    )  # fmt: skip
    names = tuple(map(str, where))
    return OnPath(names, CONDITIONS, found.kl, found.predictions, run.settings), found.units


def _shown(
    axis: Axis,
    where: Sequence[Site],
    means: Tensor,
    every: OnPath,
    chose: Sequence[bool],
    random: OnPath,
    best: int,
) -> Suppression:
    """The best heads on the documents that choose, and strong others, in the model on those that score."""
    import numpy as np

    from unexplained.bars.suppressed_path import KEYS
    from unexplained.bars.suppression import Suppression
    from unexplained.study.arms import suppressed
    from unexplained.study.arms.suppressed import mean_of, name_of

    run, chosen_by = axis.run, np.array(chose)
    first, others = every.on(chosen_by).chosen(best, CONTROLS)
    named = {str(site): (site, mean) for site, mean in zip(where, means, strict=True)}
    fitted_on = run.subject.remembered
    arms: list[Arm] = []
    kept: dict[str, dict[str, str]] = {}
    for head in (*first, *others):
        site, mean = named[head]
        of = "" if head == first[0] else kept[first[0]]["both"]
        made = suppressed(run, site, mean, fitted_on, of=of, more=not of)
        if not of:
            made = [
                one.also("direct, norm frozen", "direct", "total, norms frozen") for one in made
            ]
        arms += made
        made_of = {one.name for arm in made for one in (arm, *arm.controls)}
        names = {key: name_of(site, key) for key in KEYS.values()}
        kept[head] = {key: name for key, name in names.items() if name in made_of}
    read = run.measure(
        *arms, *axis.arms, tokens=axis.tokens(), what="copy suppression in the running model"
    )
    means_of = {head: mean_of(named[head][0]) for head in kept}
    placed = [means_of[first[0]], kept[first[0]]["both"], kept[first[0]][KEYS["other"]]]
    return Suppression(
        run.subject.name, every.on(~chosen_by), random, first, others, read, means_of, kept,
        axis.scale(axis.read(read), placed),
    )  # fmt: skip
