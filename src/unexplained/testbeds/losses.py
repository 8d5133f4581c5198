"""Losses of a model that adds GAIN to the logit of what it copies and is uniform otherwise.

In nats per token. The planted models have these losses because their unembedding reads nothing
but what the planted head wrote; docs/planted-models.md bounds what is left out (below 1e-5).
"""

from __future__ import annotations

import math

from unexplained.testbeds.vocabulary import WORDS

GAIN = 8.0
"""Logit that the planted head adds to a token that gets all of its attention."""

SILENT = math.log(WORDS)
"""Loss where the head copies nothing: uniform over all tokens but BOS, ln 48 = 3.8712."""

RIGHT = math.log1p((WORDS - 1) * math.exp(-GAIN))
"""Loss where all attention is on a copy of the next token, ln(1 + 47 e⁻⁸) = 0.0156."""

WRONG = GAIN + RIGHT
"""Loss where all attention is on copies of one other token: 8.0156."""
