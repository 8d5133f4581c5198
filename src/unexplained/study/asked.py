"""What was asked for is checked before anything is run: names and numbers, then sites, then the text.

Every measuring function calls these before its first pass, so that nobody waits for a measurement
that could not have succeeded, in Python or at the command line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from unexplained.ablations import ABLATIONS, AblationError, value_site
from unexplained.ablations.matched_noise import require_covariance
from unexplained.ablations.position_mean import FEWEST
from unexplained.errors import (
    ExplanationError,
    MeasurementError,
    SiteError,
    TextError,
    require_count,
)
from unexplained.evaluate import store
from unexplained.evaluate.evaluate import require_tokens as require_tokens
from unexplained.evaluate.products import take_products
from unexplained.explanations import StandIn
from unexplained.explanations.view import elsewhere
from unexplained.ladder.conditions import require_same_tokens, require_unseen_by
from unexplained.ladder.family import Family
from unexplained.sites import Site
from unexplained.study.controls import possible_controls
from unexplained.study.stated import Rules, induction_rules
from unexplained.study.twins import few
from unexplained.subject import Subject
from unexplained.text import Text
from unexplained.text.ngrams import NAMES

TAKEN = ("intact", *NAMES)
"""Names of conditions that stand beside every explanation."""


def require_folder(folder: Path | None, *subjects: Subject) -> None:
    """Find out before anything is measured that what is finished cannot be kept there.

    Models go on as what is kept there began: by the same float32 product.

    Raises:
        MeasurementError: It cannot, or something on the way there is a file.
    """
    for place in () if folder is None else (folder, *Path(folder).parents):
        if os.path.exists(place) and not os.path.isdir(place):  # noqa: PTH110, PTH112  (never raise)
            raise MeasurementError(
                f"The folder '{folder}' for what is finished",
                "it is a file" if place == folder else f"'{place}' is a file",
                "Name a folder, or one that is not there yet (folder=…; --run).",
            )
    store.require_folder(folder)
    for subject in subjects:
        take_products(folder, subject)


def require_share(share: float, name: str = "share", of: str = "the tokens") -> None:
    """Refuse what is no share of something: none of it and all of it are none.

    Args:
        share: What was given.
        name: The parameter, as Python calls it.
        of: Of what it is a share.

    Raises:
        MeasurementError: It is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise MeasurementError(
            f"{name}={share:g}", f"a share of {of} lies between 0 and 1", "Write 0.05 for 5%."
        )


def require_claims(explanations: Sequence[StandIn], *, program: bool = False) -> None:
    """Refuse explanations that share a name, programs among those of components, or the reverse.

    Raises:
        ExplanationError: There are some.
    """
    names = [explanation.name for explanation in explanations]
    for one in explanations:
        if names.count(one.name) > 1:
            raise ExplanationError(
                f"The explanation '{one.name}'", "it is given twice", "Give it once, or rename one."
            )
        if one.gives == "logits" and not program:
            raise ExplanationError(
                f"The program '{one.name}' at components",
                "it gives logits: it stands for the whole model, not for a component",
                "Give it to `rewrite`: unexplained rewrite MODEL --program my.py.",
            )
        if one.gives != "logits" and program:
            raise ExplanationError(
                f"The explanation '{one.name}' as a program",
                f"it gives '{one.gives}' of a component, and a program gives logits",
                'Make it with @explanation(gives="logits", reads=["tokens"]).',
            )


def components(subject: Subject, sites: str, *, heads: bool = False) -> tuple[Site, ...]:
    """The components of that address, each once.

    Args:
        subject: The model.
        sites: The address.
        heads: Only whole heads will do.

    Raises:
        SiteError: One is not there, is one of a head's values and not the head, or is no head.
    """
    found = existing(subject, sites)
    for site in found:
        if site.value:
            raise SiteError(
                f"The site {site} as a component",
                "it is one value of a head, and components are taken whole",
                f"Give the head, {site.component}"
                + (
                    "."
                    if heads
                    else f"; a claim about its {site.value} is an explanation of the head: "
                    f'@explanation(gives="{site.value}", …).'
                ),
            )
        if heads and site.part != "H":
            raise SiteError(
                f"The site {site} as a head",
                "it is no head",
                "Give heads, such as L0.H0; `sweep`, `tasks` and `rewrite` take other components as well.",
            )
    return found


def existing(subject: Subject, sites: str) -> tuple[Site, ...]:
    """The sites of an address, all of which a pass of this model has.

    Raises:
        SiteError: One is not there.
    """
    found = subject.sites(sites)
    for site in found:
        if site.part == "resid_mid" and subject.anatomy.parallel:
            raise SiteError(
                f"The site {site}",
                "in this model attention and MLP run side by side, so there is no middle",
                f"Use L{site.layer}.resid_pre or L{site.layer}.resid_post.",
            )
    return found


def require_standing(
    explanations: Sequence[StandIn], sites: Sequence[Site], subject: Subject
) -> None:
    """Refuse explanations that cannot stand at some components, or read what is not there by then.

    Raises:
        ExplanationError: One gives or reads what a component does not have.
        SiteError: One reads a site that the model does not have, or that comes later.
    """
    for one in explanations:
        read = elsewhere(one.reads, subject.shape)
        for site in sites:
            if why := one.refuses(site, subject.shape):
                raise ExplanationError(f"The explanation '{one.name}' at {site}", *why)
            late = next((other for other in read if _later(other, site, subject)), None)
            if late is not None:
                raise SiteError(
                    f"Reading {late} from {site}",
                    f"the explanation '{one.name}' stands before it in the pass",
                    "Only sites before the edited one can be read.",
                )


_STAGES = ("resid_pre", "H", "attn", "resid_mid", "N", "mlp", "resid_post")
"""The parts of a layer in the order in which they come about."""


def _later(one: Site, other: Site, subject: Subject) -> bool:
    """Whether a site comes about after another."""
    if one.layer != other.layer or one.part == other.part or subject.anatomy.parallel:
        return one.layer > other.layer
    return _STAGES.index(one.part) > _STAGES.index(other.part)


def require_fill(ablation: str, sites: Sequence[Site], text: Text) -> None:
    """Refuse an ablation that cannot be fitted at some sites, or on this text.

    Raises:
        AblationError: An attention pattern has no common shape over documents.
        TextError: It takes the corrupted prompts of running text, or no donor is long enough.
    """
    if ablation == "patch":
        text.swapped()
    if ablation == "resample":
        text.blocks("fit", "Resample ablation")
        require_donors(text)
    for site in map(value_site, sites):
        if site.value == "pattern" and ablation == "position mean":
            _require_reached(text, site)
        elif site.value == "pattern" and ablation not in ("zero", "resample"):
            raise AblationError(
                f"The ablation '{ablation}' of {site}",
                "an attention pattern has a row and a column for every position, so documents of "
                "different lengths have no common one",
                f"Use position mean, zero or resample, or ablate {site.component.at('q')} and "
                f"{site.component.at('k')}.",
            )


def require_covariances(sites: Sequence[Site], text: Text, subject: Subject) -> None:
    """Refuse a fit part with too little for the covariance of a site.

    Raises:
        AblationError: There is too little.
    """
    documents = [len(block.tokens) - 1 for block in text.blocks("fit", "Matched noise")]
    for site in map(value_site, sites):
        inner = site.part == "H" and site.value != "out"
        wide = subject.shape.head_size if inner else subject.shape.width
        size = 1 if site.is_number else wide
        require_covariance(str(site), sum(n > 0 for n in documents), sum(documents), size)


def _require_reached(text: Text, site: Site) -> None:
    """Refuse documents longer than enough of the fit part, for the mean of every query."""
    fit = sorted((len(block.tokens) for block in text.blocks("fit", "Position mean")), reverse=True)
    longest = max(len(block.tokens) for block in text.eval)
    reached = fit[FEWEST - 1] if len(fit) >= FEWEST else 0
    if longest > reached:
        raise AblationError(
            f"The ablation 'position mean' of {site}",
            f"a document has {longest} tokens, and so far reach {sum(n >= longest for n in fit)} "
            f"documents of the fit part; it takes {FEWEST}",
            "Fit on more documents (fit_documents=…; --fit-documents), ask for shorter "
            "blocks (--block), or use zero or resample.",
        )


def require_donors(text: Text, *, within: bool = False) -> None:
    """Refuse a text whose documents have no other of the fit part as long, to take values from.

    Args:
        text: The text.
        within: Documents of the fit part take values from each other as well.

    Raises:
        TextError: One has none.
    """
    lengths = sorted((len(block.tokens) for block in text.fit), reverse=True) or [0]
    text.blocks("fit", "What is taken from other documents")
    longest = max(len(block.tokens) for block in text.eval)
    alone = within and lengths[0] > lengths[min(1, len(lengths) - 1)]
    if longest > lengths[0] or alone or (within and len(lengths) == 1):
        raise TextError(
            f"Donors for the documents of {text.name}",
            f"a document of {max(longest, lengths[0])} tokens has no other of the fit part as long "
            f"(the {len(lengths)} there have {lengths[-1]} to {lengths[0]})",
            "Use more fit documents (fit_documents=…) or shorter blocks (block=…).",
        )


def require_labels(text: Text, stratum: tuple[str, str]) -> None:
    """Refuse a stratum that no predicted token of a text is in.

    Raises:
        TextError: It is empty.
    """
    partition, label = stratum
    if partition == label == "all":
        return
    known = {str(one) for block in text.eval for one in text.labels(block).get(partition, ())}
    if label not in known:
        raise TextError(
            f"The tokens with {partition} '{label}' of {text.name}",
            "there are none",
            f"Labels there are: {', '.join(sorted(known)) or 'none of that partition'}.",
        )


def require_apart(family: Family | None, taken: Sequence[str]) -> None:
    """Refuse members of a family whose name is taken.

    Raises:
        MeasurementError: One is.
    """
    for one in family.members if family else ():
        if one.name in taken:
            raise MeasurementError(
                f"The model '{one.name}' of the family",
                "the name stands for something else",
                "Give every model a name of its own: Member(name, …).",
            )


def require_assay(
    subject: Subject,
    sites: str,
    texts: Sequence[Text],
    *,
    explanations: Sequence[StandIn] | None = None,
    twin: bool = True,
    singles: int = 0,
    folder: Path | None = None,
) -> tuple[Rules, tuple[Site, ...]]:
    """The explanations and the components of an assay, refused before anything is run if it cannot be.

    Raises:
        ExplanationError: There is none, two share a name or that of something else in an assay,
            one is a program, or cannot stand at a component.
        SiteError: A component does not exist or is no head.
        MeasurementError: There is no text, a number is out of bounds, effects of single heads are
            asked of a model in half precision, or the folder cannot be written.
        TextError: A text has too few documents, or is of another model's tokens.
    """
    require_count("singles", singles, least=0)
    rules = induction_rules() if explanations is None else _own_rules(explanations)
    if not texts:
        raise MeasurementError("An assay", "no text was given", "Give at least one.")
    for text in texts:
        if sum(text.fingerprint == o.fingerprint or text.name == o.name for o in texts) > 1:
            raise MeasurementError(
                f"The text '{text.name}'", "it is given twice, or two texts have that name",
                "Give it once, and every text a name of its own.",
            )  # fmt: skip
    where = components(subject, sites)
    everything = (*rules.explanations, *possible_controls(rules.primary))
    require_standing(everything, where, subject)
    if singles or len(where) == 1:
        subject.require_full_precision("The effect of a single head")
    for text in texts:
        require_tokens(subject, text, "eval", "fit")
        require_donors(text, within=True)
        if twin:
            require_donors(few(text))
    require_folder(folder, subject)
    return rules, where


def _own_rules(explanations: Sequence[StandIn]) -> Rules:
    if not explanations:
        raise ExplanationError("An assay", "no explanation was given", "Give at least one.")
    require_claims(explanations)
    taken = {*TAKEN, *ABLATIONS.all(), *(one.name for one in possible_controls(explanations[0]))}
    for one in explanations:
        if one.name in taken:
            raise ExplanationError(
                f"The explanation '{one.name}'",
                "an assay has something else of that name",
                "Give it another: @explanation(…, name=…).",
            )
    return Rules(tuple(explanations), explanations[0])


def require_beside(
    subject: Subject, text: Text, others: Sequence[Subject], *, fits: bool = False
) -> None:
    """Refuse models that cannot be measured beside one on a text.

    Args:
        subject: The model.
        text: Where they are measured.
        others: Other models.
        fits: Something is fitted on the text's fit part.

    Raises:
        MeasurementError: Their tokenizers differ, or the text is what the ladder was trained on.
        TextError: The text is of another model's tokens, or has too few documents.
    """
    for other in others:
        require_same_tokens(subject, other)
        require_tokens(other, text, "eval")
    require_tokens(subject, text, "eval", *(("fit",) if fits else ()))
    require_unseen_by(subject, text)
