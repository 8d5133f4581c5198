"""What a claim leaves out of a component, ablated by itself: noise, another document's, its mean in its place.

A claim gives some of a component's value; the rest of the value is missing or constant, and later
norms and thresholds were trained with it there. Noise of the same mean and covariance puts back how
large and how spread the rest is, and nothing that it says of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from unexplained.ablations import ABLATIONS, Fill, where_first_is_kept
from unexplained.ablations.matched_noise import gaussian_of, noise
from unexplained.evaluate import Activations, Edited
from unexplained.evaluate.conditions import key, tensor_digest
from unexplained.hashing import digest
from unexplained.sites import Site
from unexplained.subject import Edit, Local

ValueOf = Callable[[Local], Tensor]
VARIES = 1e-6
"""A spread below this share of the mean is rounding."""


def random_instead(name: str, claim: Edited, activations: Activations, seed: int) -> Edited | None:
    """Random numbers with the mean and covariance of what a claim gives: of its shape, and about nothing.

    The first token has what the claim gives there: heads rest on it, and numbers that disturb that
    lose more than those that know nothing.

    None where what it gives does not vary: then they would be the claim.

    Raises:
        AblationError: There are too few tokens for a covariance.
    """
    fits = {
        edit.where: _gaussian(activations, edit, f"what is said of {edit.where}")
        for edit in claim.edits
    }
    if all(root.norm() <= VARIES * mean.norm() for mean, root in fits.values()):
        return None

    def make(edit: Edit) -> tuple[ValueOf, list[Tensor]]:
        fit = fits[edit.where]
        draw = noise(f"instead of {edit.where}", *fit, seed)

        def given(local: Local) -> Tensor:
            put = draw(local)
            if local.batch.start:
                return put
            said = _of(edit, local).expand_as(put).to(put)
            return torch.cat([said[:, :1], put[:, 1:]], 1)

        return given, list(fit)

    return remade(name, "random", claim, make, seed)


def left_out(claim: Edited, activations: Activations) -> Activations:
    """What the model has where a claim stands, less what the claim gives there."""
    values: list[dict[Site, Tensor]] = [{} for _ in activations.batches]
    for edit in claim.edits:
        for found, one in zip(values, activations.at(edit.where), strict=True):
            found[edit.where] = one.value - _of(edit, one)
    batches = tuple(
        (batch, found) for (batch, _), found in zip(activations.batches, values, strict=True)
    )
    return replace(activations, batches=batches)


def with_rest(name: str, claim: Edited, kind: str, left: Activations, seed: int) -> Edited:
    """What a claim gives and, of what it leaves out, what an ablation of that puts in its place.

    With `resample` that is what another document has; with `matched noise` its mean is put back too:
    most claims have it already, and theirs is nothing. Nothing at the first token, which nearly all
    documents share and heads rest on.

    Args:
        name: Of the condition.
        claim: What stands there.
        kind: The ablation's name; one that is fitted by a reading.
        left: What the claim leaves out.
        seed: Of draws.

    Raises:
        AblationError: There are too few tokens for a covariance.
    """
    values = where_first_is_kept(kind, left)
    fill = ABLATIONS.get(kind).fit(values, [edit.where for edit in claim.edits], seed)
    # Some fills name the documents alone that their values are of.
    held = [one for _, found in left.batches for one in found.values()]
    mark = digest(fill.fingerprint, tensor_digest(held))
    return with_fill(name, claim, replace(fill, fingerprint=mark))


def with_fill(name: str, claim: Edited, fill: Fill) -> Edited:
    """The same with what was fitted already."""
    puts = {edit.where: edit for edit in fill.edits}

    def make(edit: Edit) -> tuple[ValueOf, list[Tensor]]:
        put = puts[edit.where]

        def given(local: Local) -> Tensor:
            return _of(edit, local) + _after_first(local, _of(put, local))

        return given, []

    found = remade(name, fill.name, claim, make, 0, fill.fingerprint)
    edits = tuple(
        replace(edit, calls=(*edit.calls, put.function, *put.calls))
        for edit, put in zip(found.edits, fill.edits, strict=True)
    )
    return replace(found, edits=edits, fitted_on=claim.fitted_on or fill.fitted_on)


def remade(
    name: str,
    kind: str,
    claim: Edited,
    make: Callable[[Edit], tuple[ValueOf, list[Tensor]]],
    seed: int,
    *about: str,
) -> Edited:
    """The claim's edits, each giving something else; the code of the claim's own is in the key too."""
    edits, held = list[Edit](), list[Tensor]()
    for edit in claim.edits:
        given, tensors = make(edit)
        edits.append(
            replace(edit, site=edit.where, function=given, calls=(*edit.calls, edit.function))
        )
        held += tensors
    mark = digest("repair", kind, key(claim), str(seed), *about, tensor_digest(held))
    return replace(claim, name=name, edits=tuple(edits), fingerprint=mark)


def _of(edit: Edit, local: Local) -> Tensor:
    """What a claim gives there; where it only looks, the value itself."""
    given = edit(local)
    return local.value if given is None else given


def _gaussian(activations: Activations, edit: Edit, what: str) -> tuple[Tensor, Tensor]:
    """Mean and root of the covariance of what a claim gives at every token but the first."""
    found, documents = list[Tensor](), 0
    for local in activations.at(edit.where):
        said = _of(edit, local)
        valid = local.batch.valid.clone()
        valid[:, 0] = False
        documents += int(valid.any(-1).sum())
        found.append(said[valid])
    return gaussian_of(torch.cat(found), documents, what)


def _after_first(local: Local, value: Tensor) -> Tensor:
    """Nothing at the first token, which nearly all documents share and heads rest on."""
    if local.batch.start == 0:
        value = value.clone()
        value[:, 0] = 0
    return value


def sites_of(claims: Sequence[Edited]) -> list[Site]:
    """The exact values that claims stand on: what has to be observed for their repairs."""
    return list(dict.fromkeys(edit.where for one in claims for edit in one.edits))
