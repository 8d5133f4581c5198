"""The terms of weaker models and training compute, of rewriting, narrow tasks and what is told apart."""

from __future__ import annotations

from unexplained.report.term import Term

COMPUTE: tuple[Term, ...] = (
    Term(
        "annealed share",
        "Share of its training steps that a model of the same size takes to reach a loss when its "
        "learning rate is brought to zero at their end (share).",
        ("annealed",),
    ),
    Term(
        "as good as",
        "The training compute at which a curve has a condition's loss, in FLOPs: what one would have "
        "to train with to lose no more.",
    ),
    Term(
        "by the bend",
        "Read off a curve of loss against training compute whose exponent moves with compute: ln L quadratic in "
        "ln C, or A·(C + C₀)^(−α). A power law with a floor can only flatten.",
        ("bend",),
    ),
    Term(
        "between rungs",
        "The frontier share with compute read straight between neighbouring rungs, in logarithms, "
        "without a curve (share).",
    ),
    Term(
        "data share",
        "Share of its training tokens on which a model of the same size reaches a loss, from a "
        "surface of loss over size and tokens (share).",
    ),
    Term(
        "exponent α",
        "How fast the loss falls with training compute: the part above the irreducible loss falls "
        "as C^(−α).",
        ("α", "exponent"),
    ),
    Term(
        "extrapolated",
        "Read off the curve beyond the compute of the least or greatest model that it was fitted "
        "to: no model there says whether it holds.",
        ("extrapolate", "extrapolation"),
    ),
    Term(
        "fitted range",
        "The training compute of the least and of the greatest model that a curve was fitted to "
        "(FLOPs).",
    ),
    Term(
        "FLOPs",
        "Floating-point operations: single sums and products of numbers, the unit of training "
        "compute. A product of matrices of n × m and m × k takes about 2nmk.",
        ("FLOP",),
    ),
    Term(
        "frontier share",
        "Training compute at which models of the best size for it reach the explained model's loss, "
        "divided by that at which they reach the intact model's (share).",
        ("frontier",),
    ),
    Term(
        "gap score",
        "(loss of a weaker model − loss with the explanation) ÷ (loss of the weaker model − loss "
        "intact). 100%: as good as the intact model. 0%: as good as the weaker one. Below 0%: worse "
        "than it.",
    ),
    Term(
        "irreducible loss E",
        "The loss that a curve says no compute gets below (nats per token).",
        ("irreducible loss", "floor"),
    ),
    Term(
        "ladder",
        "Models trained alike with more and more compute, to measure how good a given compute is.",
    ),
    Term(
        "learning rate",
        "How far a step of training moves the weights. A model is better at the end of a run that "
        "brings it to zero than halfway through a run that does not.",
    ),
    Term(
        "own r",
        "Of a weaker model: the fraction recovered that it has itself as a stand-in for the intact "
        "one, (loss of the baseline − its loss) ÷ (loss of the baseline − loss intact). An "
        "explanation with a lower fraction does worse than it.",
    ),
    Term(
        "own-run share",
        "Share of the model's own training steps after which it reached a loss, its learning rate "
        "still high (share).",
        ("own run",),
    ),
    Term(
        "scatter about the curve",
        "How far single trained models are from the fitted curve, by chance and because the law does "
        "not fit exactly (share of the loss).",
    ),
    Term(
        "rung",
        "One model of a ladder, or several that differ by nothing but their seed.",
    ),
    Term(
        "training compute",
        "The operations that training a model took, counted and not measured (FLOPs).",
    ),
    Term(
        "uniform",
        "The prediction that gives every token the same probability.",
    ),
    Term(
        "weaker model",
        "A smaller model, or one trained with less, with the same tokens: what it does is no "
        "explanation, so an explanation that does worse has something left to explain.",
    ),
)

WHOLE: tuple[Term, ...] = (
    Term(
        "accuracy",
        "Share of predictions that are right: the most probable next token on text, the preferred "
        "answer on pairs of prompts.",
    ),
    Term(
        "break-even",
        "How many components can be replaced by explanations before the model is told to be worse "
        "than a weaker one.",
    ),
    Term(
        "budget of explanation",
        "The rules that may be put in a head's place; the best is chosen for every head on the fit "
        "part.",
    ),
    Term("component", "A part of a model that is replaced as one: a head or an MLP."),
    Term(
        "description length",
        "How many bits it takes to write an explanation down, its code and what was fitted.",
    ),
    Term(
        "full distribution",
        "All of a text, against one kind of it.",
    ),
    Term(
        "gap score in accuracy",
        "(accuracy explained − accuracy of a weaker model) ÷ (accuracy of the model − accuracy of "
        "the weaker model). 0%: as good as the weaker model. 100%: as good as the model.",
    ),
    Term(
        "narrow task",
        "One kind of text, or one behaviour, measured by itself.",
    ),
    Term(
        "random order",
        "An order in which components are replaced that was drawn by chance, so that it does not "
        "favour what is explained well.",
    ),
    Term(
        "recovered by accuracy",
        "(accuracy explained − accuracy with everything mean-ablated) ÷ (accuracy of the model − "
        "accuracy with everything mean-ablated): what is left of accuracy on the scale of the "
        "fraction recovered (share).",
        ("by accuracy",),
    ),
    Term(
        "slope",
        "Change of the fraction recovered for ten times the training compute, by a straight line "
        "through all sizes (share).",
    ),
    Term(
        "written program",
        "Code that predicts the next token with nothing of the model in it.",
    ),
    Term(
        "surely",
        "With its whole interval, and not by its value alone.",
        ("certain", "for certain"),
    ),
    Term(
        "told from",
        "Two numbers are told apart where chance in which documents were drawn would hardly make "
        "them differ so: the interval of their difference leaves 0 out. A number is told from zero "
        "where its own does.",
        ("told apart", "told to be", "distinguishable"),
    ),
)
