"""Conditions in, ledger out: the one road on which losses are measured."""

from unexplained.evaluate.activations import Activations as Activations
from unexplained.evaluate.activations import observe as observe
from unexplained.evaluate.conditions import AnotherModel as AnotherModel
from unexplained.evaluate.conditions import Condition as Condition
from unexplained.evaluate.conditions import Edited as Edited
from unexplained.evaluate.conditions import Intact as Intact
from unexplained.evaluate.conditions import Other as Other
from unexplained.evaluate.conditions import Program as Program
from unexplained.evaluate.conditions import distinct as distinct
from unexplained.evaluate.conditions import joint as joint
from unexplained.evaluate.evaluate import evaluate as evaluate
