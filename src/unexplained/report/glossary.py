"""Every term that a report uses, with its unit; a page lists those that occur in it."""

from __future__ import annotations

from unexplained.report.term import Term
from unexplained.report.terms import COMPUTE, WHOLE
from unexplained.report.terms_gap import GAP
from unexplained.report.terms_shortfall import SHORTFALL
from unexplained.report.terms_suppression import SUPPRESSION

TERMS: tuple[Term, ...] = (
    *COMPUTE,
    *WHOLE,
    *GAP,
    *SHORTFALL,
    *SUPPRESSION,
    Term(
        "ablation",
        "Something that claims nothing, put in a component's place: zero, mean, resample and so "
        "on. What it costs is the scale that explanations are measured on.",
        ("ablated", "ablate"),
    ),
    Term(
        "agreement",
        "Share of tokens at which the most probable next token is the intact model's: how faithful "
        "an explanation is to the model, not how often either is right (that is its reliability).",
    ),
    Term(
        "affine map",
        "A matrix and a constant fitted to give a component's output from stated features.",
    ),
    Term(
        "bar",
        "A fraction recovered that somebody named as worth reaching. None is a pass mark; the "
        "distance to each is reported in percentage points.",
    ),
    Term("baseline", "A method without an explanation that does the same job, for comparison."),
    Term(
        "bigram",
        "A table of how often each token followed the current one, counted on other documents.",
    ),
    Term(
        "bits",
        "Unit of description length: the compressed code of an explanation and its fitted "
        "parameters. Shorter is better at the same score.",
        ("bit",),
    ),
    Term(
        "bits per byte",
        "The loss in bits (nats divided by ln 2) of a stretch of text divided by its bytes: "
        "the same unit whatever tokens a model cuts the text into.",
    ),
    Term("black-box", "Method tag: looks at inputs and outputs only."),
    Term("BOS", "Beginning of sequence: a token that some tokenizers put in front of a text."),
    Term(
        "circuit",
        "A part of a model that is claimed to carry a behaviour: here a set of edges. All other "
        "edges carry what they carry on the corrupted prompt.",
    ),
    Term(
        "CMD",
        "The area between a size–recovery curve and 100% (MIB's): 0 is a circuit that keeps "
        "everything at every size.",
    ),
    Term(
        "control",
        "A condition whose result is known beforehand. If the component itself or no explanation "
        "comes out otherwise, the instrument is at fault, and with it every number here. If a claim "
        "out of its place does as well as the claim, what is at fault is what the claim's own score "
        "was taken to show; the other numbers stand. Where no change of place can tell, there is no "
        "control of this kind.",
    ),
    Term(
        "corrupted prompt",
        "The clean prompt with the words exchanged that its answer follows from, of the same "
        "length: what it does not do to the logit difference, a circuit need not explain.",
        ("corrupted",),
    ),
    Term(
        "CPR",
        "The area under a size–recovery curve (MIB's), over the share of edges. Higher is more, "
        "and above 1 some circuits do better than the whole model.",
    ),
    Term(
        "crux",
        "A statement over which the founders of this project disagreed and on which a number "
        "bears.",
        ("cruxes",),
    ),
    Term(
        "damage",
        "Loss under an ablation minus loss of the intact model (nats per token): the denominator "
        "of every fraction recovered.",
        ("denominator",),
    ),
    Term(
        "direct effect",
        "What the component does to the prediction by its own path to the output, with all later "
        "components left as they were.",
        ("direct effects", "direct"),
    ),
    Term(
        "duplicate-token score",
        "Mean attention from a repeated token to its earlier occurrence, on repeated random "
        "tokens (share, 0 to 1).",
        ("duplicate token",),
    ),
    Term(
        "EAP (edge attribution patching)",
        "Edge attribution with the gradient at the clean prompt: one pass forward and one back "
        "for all edges at once. It misleads where the model is far from linear.",
        ("EAP",),
    ),
    Term(
        "EAP-IG (integrated gradients)",
        "EAP with gradients averaged on the way from the corrupted to the clean prompt: of the "
        "embeddings (inputs) or of each group's own outputs (activations).",
        ("EAP-IG", "IG"),
    ),
    Term(
        "edge",
        "A connection of a circuit: what one part of the model writes, as one other part reads it.",
    ),
    Term(
        "edge attribution",
        "An estimate for every edge, to first order, of how the logit difference would change if "
        "that edge alone carried what it carries on the corrupted prompt (logits per pair).",
        ("attribution",),
    ),
    Term(
        "eval part",
        "Documents on which everything is measured; nothing is fitted on them.",
        ("evaluation documents",),
    ),
    Term(
        "excess loss",
        "Loss under the explanation minus loss of the intact model (nats). Positive: the "
        "explanation does worse here.",
    ),
    Term(
        "explanation",
        "A claim about a component, stated as code that is put in the component's place.",
    ),
    Term(
        "faithfulness",
        "How closely something does what the model does, right or wrong; how often it is right is "
        "its reliability.",
    ),
    Term(
        "kept by a circuit",
        "(logit difference of the circuit − that on the corrupted prompts) ÷ (that on the clean "
        "prompts − that on the corrupted prompts). 100%: the whole behaviour. It can be below 0 "
        "and above 100%.",
        ("its faithfulness",),
    ),
    Term(
        "false discovery rate",
        "The expected share of components without any effect among those that are told from zero.",
    ),
    Term(
        "fingerprint",
        "A hash of the model's weights or of the text's tokens: equal fingerprints, equal inputs.",
    ),
    Term(
        "fit part",
        "Documents on which means and maps are fitted; they share nothing with the eval part.",
        ("fit documents",),
    ),
    Term(
        "fitted",
        "Uses numbers that were fitted to the model's own behaviour on the fit part.",
        ("fitted map",),
    ),
    Term(
        "fraction recovered",
        "(loss ablated − loss with the explanation) ÷ (loss ablated − loss intact). 100%: as good "
        "as the component itself. 0%: no better than the ablation. Below 0%: worse than claiming "
        "nothing. It can exceed 100%.",
        ("recovered", "recovers", "loss recovered", "f ="),
    ),
    Term(
        "gain in context",
        "Loss of tokens with little earlier text minus loss of tokens with more (nats per token): "
        "the first copy against the second in repeated text, else positions 16 to 63 against the "
        "last ones. Also called the in-context learning score.",
    ),
    Term(
        "head",
        "An attention head: the part of a layer that moves information between positions. "
        "L5.H3 is head 3 of layer 5, both counted from 0.",
    ),
    Term("high-level", "Method tag: works with the model's features or states, not its parts."),
    Term(
        "increase over intact",
        "Loss under a condition minus loss of the intact model, paired by document (nats per "
        "token).",
        ("increase",),
    ),
    Term(
        "induction",
        "Looking for earlier occurrences of the current token and predicting what followed them.",
    ),
    Term(
        "induction score",
        "Mean attention to the position just after the earlier occurrence of the current token, "
        "on repeated random tokens (share, 0 to 1).",
    ),
    Term("intact", "The model as it is, with nothing replaced."),
    Term(
        "interaction",
        "What several components cost together minus the sum of what each costs alone (nats per "
        "token).",
    ),
    Term("internals", "Method tag: reads values inside the model that it does not explain."),
    Term(
        "interval",
        "A range that would cover the true number in the stated share of repetitions with other "
        "documents like these. It is longer where documents are few or unequal, and knows nothing "
        "of what none of them has. It does not cover the choice of model or text.",
        ("intervals",),
    ),
    Term(
        "KL",
        "Kullback–Leibler divergence of the next-token probabilities from the intact model's "
        "(nats per token). 0: the same predictions.",
    ),
    Term(
        "knee",
        "The smallest circuit among those measured that keeps 80% of the behaviour, as does every "
        "larger one: with the whole interval, or by the values alone.",
    ),
    Term(
        "logit difference",
        "The logit of the answer minus that of the wrong answer, at the last token of the prompt "
        "(logits per pair): above 0 the model prefers the answer.",
        ("logits per pair",),
    ),
    Term(
        "loss",
        "Minus the natural logarithm of the probability given to the token that came next (nats "
        "per token). Lower is better.",
    ),
    Term(
        "mean ablation",
        "The component's output is replaced by its mean over the fit part.",
        ("mean-ablating", "against mean"),
    ),
    Term("mechanistic", "Method tag: claims what a component computes, part by part.", ("mech",)),
    Term(
        "MIB",
        "A public benchmark of methods that find circuits (Mueller et al. 2025, "
        "arXiv:2504.13151), whose edges, sizes and areas are used here.",
    ),
    Term(
        "MLP",
        "Multilayer perceptron: the part of a layer that works on each position by itself.",
    ),
    Term(
        "nats per token",
        "Unit of loss: natural logarithms, averaged over predicted tokens. 0.01 nats make each "
        "token about 1% less probable; 1 nat is 1.44 bits.",
        ("nats", "nat"),
    ),
    Term("nines", "−log₁₀(1 − fraction recovered): 1 means 90%, 2 means 99%, 3 means 99.9%."),
    Term(
        "norm free",
        "Direct effect with the final normalisation recomputed for the changed stream.",
    ),
    Term(
        "norm frozen",
        "Direct effect with the scale of the final normalisation kept from the intact run.",
    ),
    Term(
        "norms held",
        "Every normalisation keeps the scale that it has in the intact run, in what is compared as "
        "well. The intact scales were made with the component there, so a little of it leaks.",
    ),
    Term(
        "optimal ablation",
        "The component's output is replaced by the constant that costs least.",
        ("against optimal",),
    ),
    Term(
        "orbit",
        "A pair of prompts together with the same pair with its roles exchanged: intervals are "
        "over orbits, because the two are not independent.",
    ),
    Term("pattern", "How a head distributes its attention: one share for each earlier position."),
    Term(
        "percentage points",
        "The difference of two percentages: from 45% to 50% is 5 points.",
        ("points",),
    ),
    Term(
        "position mean",
        "The component's output is replaced by its mean at the same position over the fit part.",
    ),
    Term(
        "previous-token score",
        "Mean attention to the token just before, on repeated random tokens (share, 0 to 1).",
        ("previous token",),
    ),
    Term(
        "q",
        "A p-value after correction for the number of components (Benjamini and Hochberg): those "
        "below the false discovery rate are told from zero.",
    ),
    Term(
        "recurrence",
        "Whether the current token occurred earlier in the block (“recurs”) or not (“first "
        "time”), and whether what follows it now also followed it then (“continuation repeats”).",
        ("recurs", "continuation repeats", "first time"),
    ),
    Term("reference ablation", "The ablation that strata, bars and nines are measured against."),
    Term(
        "refused",
        "Not given, because the denominator cannot be told from zero, or the documents are too few "
        "or too unequal for any interval to hold: a ratio would mean nothing. It is not 0.",
    ),
    Term(
        "reliability (right)",
        "Share of tokens at which the most probable next token is the one that the text has: how "
        "often an explained model is right. What imitates a poor model well is faithful and "
        "unreliable.",
        ("reliability", "right"),
    ),
    Term(
        "resample ablation",
        "The component's output is replaced by what it was in another document.",
        ("resample",),
    ),
    Term(
        "resamples",
        "How many times the documents were drawn anew, with replacement, for those intervals that "
        "are made so.",
    ),
    Term("seed", "The number that all random choices were started from."),
    Term("share", "A part of a whole, between 0 and 1, written in percent."),
    Term(
        "site",
        "The address of a component: L5.H3 is a head, L5.mlp the per-position part of layer 5.",
    ),
    Term(
        "stratum",
        "A part of the tokens that share a label; an average over all can hide that an "
        "explanation fails on one.",
        ("strata",),
    ),
    Term(
        "token",
        "A piece of text that the model reads and predicts: a word, part of a word, or a sign.",
    ),
    Term("total effect", "What a change does to the loss when all later components react to it."),
    Term(
        "trigram",
        "A table of how often each token followed the current one and the one before it, counted on "
        "other documents.",
    ),
    Term(
        "twin",
        "The same architecture with random weights: what an explanation scores where there is "
        "nothing to explain.",
        ("random-weight twin",),
    ),
    Term("unigram", "A table of how frequent each token is, counted on other documents."),
    Term(
        "variance explained",
        "Share of the variance of the component's output that the explanation reproduces, on the "
        "intact run. An explanation can be right about most of the variance and wrong where it "
        "matters.",
        ("variance",),
    ),
    Term("zero ablation", "The component's output is replaced by zeros.", ("against zero",)),
)


def used_in(text: str, *, meanings: bool = True) -> tuple[Term, ...]:
    """The terms that occur in a text, or in the meaning of such a term, in alphabetical order.

    >>> [[term.name for term in used_in("a bigram", meanings=also)] for also in (True, False)]
    [['bigram', 'token'], ['bigram']]
    """
    found: list[Term] = []
    unread = [text]
    while unread:
        passage = unread.pop()
        new = [term for term in TERMS if term not in found and term.occurs(passage)]
        found += new
        unread += [term.meaning for term in new if meanings]
    return tuple(sorted(found, key=lambda term: term.name.lower()))
