"""The frozen results of what users run, as JSON. Reports are drawn from them alone. No torch.

`base` is a number and a header, `blocks` what a record is made of, `record` the two together; `bars`,
`compute` and their like are what the functions of `bars` and `ladder` give. All are fetched when they are
first asked for.
"""

from typing import TYPE_CHECKING

from unexplained.lazy import face as _face

if TYPE_CHECKING:
    from unexplained.record.bars import Bars as Bars
    from unexplained.record.bars import ContextGain as ContextGain
    from unexplained.record.bars import Factor as Factor
    from unexplained.record.bars import Stratum as Stratum
    from unexplained.record.base import Header as Header
    from unexplained.record.base import Number as Number
    from unexplained.record.blocks import Check as Check
    from unexplained.record.blocks import Example as Example
    from unexplained.record.blocks import Token as Token
    from unexplained.record.compute import Explained as Explained
    from unexplained.record.compute import Scale as Scale
    from unexplained.record.compute import ShareKind as ShareKind
    from unexplained.record.counts import Counted as Counted
    from unexplained.record.description import Description as Description
    from unexplained.record.description import Method as Method
    from unexplained.record.heads import HeadScore as HeadScore
    from unexplained.record.read import load_record as load_record
    from unexplained.record.record import FORMAT as FORMAT
    from unexplained.record.record import Record as Record

__getattr__, __dir__, __all__ = _face(__name__)
