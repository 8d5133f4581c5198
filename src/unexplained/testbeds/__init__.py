"""Models with known truth: ordinary checkpoints whose weights were written by hand.

A bench that measures explanations must itself be measured, on components whose true explanation
is known because somebody put it there. docs/planted-models.md has the construction and the
derivations. Truth planted by us says that the bench finds what we thought of; it does not say
that real components are of this kind.

To add one, put one file here with a function decorated by `register`; nothing else names it.
"""

from unexplained.testbeds.planted import Planted, Rule, circuit, names, planted, register

__all__ = ["Planted", "Rule", "circuit", "names", "planted", "register"]
