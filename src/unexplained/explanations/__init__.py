"""Explanations: what is claimed of a component, as code that can stand in its place.

Args that methods here share:
    site: The component, such as `L5.H3`.
    sites: Components.
    shape: Sizes of the model: layers, heads, width, vocabulary.
    activations: What `observe` recorded of the intact model on the fit part.
    parameters: How many numbers were fitted.
    seed: Of what is drawn.
"""

from unexplained.explanations.declared import explanation as explanation
from unexplained.explanations.fit import Fitted as Fitted
from unexplained.explanations.fit import fit as fit
from unexplained.explanations.library import LIBRARY as LIBRARY
from unexplained.explanations.program import WrittenProgram as WrittenProgram
from unexplained.explanations.program import fit_program as fit_program
from unexplained.explanations.protocol import Claim as Claim
from unexplained.explanations.protocol import Explanation as Explanation
from unexplained.explanations.stand_in import STAND_INS as STAND_INS
from unexplained.explanations.stand_in import StandIn as StandIn
from unexplained.explanations.view import View as View
