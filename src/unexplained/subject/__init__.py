"""Subjects: models opened up. `load` makes one; `run` passes through it with edits."""

from unexplained.subject.edits import Batch as Batch
from unexplained.subject.edits import Edit as Edit
from unexplained.subject.edits import Local as Local
from unexplained.subject.load import load as load
from unexplained.subject.packaged import PACKAGED as PACKAGED
from unexplained.subject.run import Copy as Copy
from unexplained.subject.run import Pass as Pass
from unexplained.subject.run import Resume as Resume
from unexplained.subject.subject import Subject as Subject
