"""`sweep`: every component ablated or patched alone, and the strongest together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from unexplained.cli.progress import Progress
from unexplained.cli.shared import (
    BlockSize,
    FitDocuments,
    Gate,
    Model,
    RecordFile,
    Report,
    Run,
    Seed,
    SweepDocuments,
    Terms,
    Twin,
    app,
    is_pairs,
    kept,
    read_text,
    require_texts,
    writing,
)

if TYPE_CHECKING:
    from unexplained.evaluate.evaluate import Workers


class Method(StrEnum):
    """How effects are come by."""

    EXACT = "exact"
    CONTROL = "control variates"
    RACE = "race"


@app.command()
def sweep(
    context: typer.Context,
    model: Model,
    sites: Annotated[
        str, typer.Argument(help='Components, e.g. "L*.H*", "L*.mlp L*.attn" or "L5.N0-99".')
    ] = "L*.H*",
    text: Annotated[
        str,
        typer.Option(help="webmix, pydocs, repeats, a behaviour such as ioi, or a file."),
    ] = "webmix",
    ablation: Annotated[
        str,
        typer.Option(help="In their place: zero, mean, position mean, resample; of pairs patch."),
    ] = "",
    measure: Annotated[
        str, typer.Option(help="loss, KL, accuracy; of pairs logit difference.")
    ] = "",
    documents: SweepDocuments = 32,
    fit_documents: FitDocuments = 32,
    block: BlockSize = 128,
    method: Annotated[
        Method, typer.Option(help="Exact, or cheaper with a stated error.")
    ] = Method.EXACT,
    sample: Annotated[
        int | None,
        typer.Option(min=5, help="Documents on which a cheaper method measures everything."),
    ] = None,
    keep: Annotated[
        int, typer.Option(min=1, help="How many of the strongest a race looks for.")
    ] = 20,
    pairs: Annotated[
        int, typer.Option(min=0, help="Of how many of the strongest to take pairs.")
    ] = 5,
    swapped: Annotated[
        bool, typer.Option(help="Run the corrupted prompts: what patching brings back.")
    ] = False,
    gate: Gate = True,
    twin: Twin = True,
    memory: Annotated[
        float,
        typer.Option(help="Gigabytes of streams that may be held; the rest is computed again."),
    ] = 4.0,
    workers: Annotated[int, typer.Option(min=0, help="Processes on Ray; 0 is this one.")] = 0,
    cluster: Annotated[str, typer.Option(help="Address of a Ray cluster.")] = "",
    run: Run = None,
    seed: Seed = 0,
    report: Report = Path("sweep.html"),
    record: RecordFile = Path("sweep.json"),
    accept_terms: Terms = False,
) -> None:
    """Ablate every component alone, then the strongest together: which matter, on this text?

    With intervals, corrected for the number of components. For a behaviour, --documents counts
    pairs with their role-swaps; components are patched from the corrupted prompts and the logit
    difference is measured, unless said otherwise. What is finished is kept: after Ctrl-C or a
    crash the same command goes on from there.
    """
    import unexplained as ux
    from unexplained.ablations import ABLATIONS
    from unexplained.bars.measures import measure_of
    from unexplained.evaluate.evaluate import require_memory
    from unexplained.study.asked import require_folder

    with writing(report, record) as made, Progress() as progress:
        require_texts(text, pairs=None)
        if ablation:
            ABLATIONS.get(ablation)
        if measure:
            measure_of(measure, pairs=is_pairs(text))
        if (swapped or ablation == "patch") and not is_pairs(text):
            _needs_pairs("--swapped" if swapped else "--ablation patch", text)
        require_memory(memory * 1e9)
        require_folder(run)
        if workers or cluster:
            from unexplained.evaluate.rayside import import_ray

            import_ray()
        subject = ux.load(model, accept_terms=accept_terms)
        where = read_text(
            text, subject, documents=documents, fit_documents=fit_documents, block=block, seed=seed,
            fits=ablation not in ("", "patch"),
        )  # fmt: skip
        where = where.swapped() if swapped else where
        asked: dict[str, Any] = {
            "ablation": ablation or ("patch" if where.pairs else "mean"),
            "measure": measure or ("logit difference" if where.pairs else "loss"),
        }
        finger = {"weights": subject.fingerprint, "words": where.fingerprint}
        with kept(context, run, **finger) as folder, _workers(workers, cluster) as who:
            found = ux.sweep(
                subject, sites, where, **asked, method=method.value, sample=sample, keep=keep,
                pairs=pairs, gated=gate and not swapped, twin=twin, settings=ux.Settings(seed=seed),
                folder=folder, memory=memory * 1e9, say=progress, workers=who,
            )  # fmt: skip
        made.append(found)


def _needs_pairs(option: str, text: str) -> NoReturn:
    from unexplained.errors import TextError

    raise TextError(
        f"{option} on {text}",
        "it is running text, not pairs of prompts",
        "Use a behaviour, such as ioi.",
    )


@contextmanager
def _workers(count: int, cluster: str) -> Iterator[Workers]:
    """This process, or workers on Ray that stay for the whole sweep."""
    if not count and not cluster:
        from unexplained.evaluate.evaluate import in_process

        yield in_process
        return
    from unexplained.evaluate.cluster import ray_workers

    with ray_workers(address=cluster or None, workers=count or None) as found:
        yield found
