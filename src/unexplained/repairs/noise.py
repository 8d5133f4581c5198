"""What a claim leaves out of a component, put back: as noise, as its mean, or from another document.

A claim gives some of a component's value; the rest of the value is missing or constant, and later
norms and thresholds were trained with it there. Noise of the same mean and covariance puts back how
large and how spread the rest is, and nothing that it says of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from unexplained.ablations.matched_noise import gaussian_of, noise
from unexplained.donors import Donors, places_of
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


def with_noise(name: str, claim: Edited, activations: Activations, seed: int) -> Edited:
    """What a claim gives and, of what it leaves out, noise of the same covariance; the first token apart.

    Its mean is put back too: most claims have it already, and theirs is nothing.

    Raises:
        AblationError: There are too few tokens for a covariance.
    """

    def make(edit: Edit) -> tuple[ValueOf, list[Tensor]]:
        fit = _gaussian(activations, edit, f"what is left out of {edit.where}", less=True)
        draw = noise(f"beside {edit.where}", *fit, seed)

        def given(local: Local) -> Tensor:
            return _of(edit, local) + _after_first(local, draw(local))

        return given, list(fit)

    return remade(name, "noise", claim, make, seed)


def with_another(
    name: str, claim: Edited, activations: Activations, donors: Donors, seed: int
) -> Edited:
    """What a claim gives and, of what it leaves out, what another document has at the same position."""

    def make(edit: Edit) -> tuple[ValueOf, list[Tensor]]:
        rest = [one.value - _of(edit, one) for one in activations.at(edit.where)]

        def given(local: Local) -> Tensor:
            said = _of(edit, local)
            put = torch.zeros_like(said)
            for row, (number, at, length) in enumerate(
                places_of(donors, activations, local.batch, seed)
            ):
                put[row, :length] = rest[number][at, :length].to(put.dtype)
            return said + _after_first(local, put)

        return given, rest

    found = remade(name, "another", claim, make, seed, donors.fingerprint)
    return replace(found, edits=tuple(replace(e, calls=(*e.calls, donors)) for e in found.edits))


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


def _gaussian(
    activations: Activations, edit: Edit, what: str, *, less: bool = False
) -> tuple[Tensor, Tensor]:
    """Mean and root of the covariance of what a claim gives at every token but the first, or leaves out."""
    found, documents = list[Tensor](), 0
    for local in activations.at(edit.where):
        said = _of(edit, local)
        valid = local.batch.valid.clone()
        valid[:, 0] = False
        documents += int(valid.any(-1).sum())
        found.append(((local.value - said) if less else said)[valid])
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
