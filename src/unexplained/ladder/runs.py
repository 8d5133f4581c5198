"""Train several runs side by side, one thread each: tiny matrices gain nothing from more."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from queue import Empty
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from unexplained.ladder.series import plan_of
from unexplained.ladder.stream import fit_documents, stream
from unexplained.ladder.tokenizer import save_tokenizer, train_tokenizer
from unexplained.ladder.train import train
from unexplained.progress import Progress


def tokenizer_of(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a folder of runs; learned from the fit part the first time."""
    path = folder / "tokenizer"
    if not (path / "tokenizer.json").is_file():
        save_tokenizer(train_tokenizer(item.text for item in fit_documents()), path)
    return PreTrainedTokenizerFast.from_pretrained(path)


def train_runs(names: Sequence[str], folder: Path, *, jobs: int, say: Progress) -> None:
    """Train the named runs of the series to their end in `folder`; finished ones are kept.

    Raises:
        SubjectError: A name is unknown, a run's folder holds another recipe, or a loss is not
            finite.
    """
    wanted = [plan_of(name).recipe.name for name in names]
    stream(tokenizer_of(folder))  # so that it is encoded once and not by every process
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, _pool(jobs, context) as pool:
        told = manager.Queue()
        try:
            futures = [pool.submit(_train, name, folder, told) for name in wanted]
            while not all(future.done() for future in futures):
                _pass_on(told, say)
            _pass_on(told, say)
            for future in futures:
                future.result()
        except BaseException:
            # Leaving the block would wait for runs of hours; their states are kept.
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _pool(jobs: int, context: Any) -> ProcessPoolExecutor:
    """Processes that leave Ctrl-C, which reaches them too, to the one that began them."""
    ignore = (signal.SIGINT, signal.SIG_IGN)
    return ProcessPoolExecutor(jobs, context, initializer=signal.signal, initargs=ignore)


def _pass_on(told: Any, say: Progress) -> None:
    try:
        while True:
            say(*told.get(timeout=0.5))
    except Empty:
        return


def _train(name: str, folder: Path, told: Any) -> None:
    torch.set_num_threads(1)
    plan = plan_of(name)
    tokens = stream(tokenizer_of(folder)).train
    began_by = multiprocessing.parent_process()

    def say(step: int, loss: float) -> None:
        if began_by is not None and not began_by.is_alive():
            sys.exit(1)  # it was killed: nobody waits, and whoever goes on must not meet this one
        told.put((name, step, plan.recipe.steps))

    train(plan.recipe, tokens, folder / name, checkpoints=plan.checkpoints, say=say)
