"""Models with known truth: ordinary checkpoints whose weights were written by hand.

A bench that measures explanations must itself be measured, on components whose true explanation
is known because somebody put it there. docs/planted-models.md has the construction and the
derivations. Truth planted by us says that the bench finds what we thought of; it does not say
that real components are of this kind.

To add one, put one file here with a function decorated by `register`, or, for a model that is not
written by hand, with `TESTBEDS.add(name, maker of a Testbed)`; nothing else names it.
"""

from unexplained.testbeds.planted import AttentionRule, Planted, circuit, names, planted, register
from unexplained.testbeds.testbed import TESTBEDS, Testbed, testbed

__all__ = [
    "TESTBEDS",
    "AttentionRule",
    "Planted",
    "Testbed",
    "circuit",
    "names",
    "planted",
    "register",
    "testbed",
]
