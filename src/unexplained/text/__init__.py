"""Texts: documents, blocks of tokens, strata, and corpora to draw them from."""

from unexplained.text.build import Text, text
from unexplained.text.document import Block, Corpus, Document, Pair, document

__all__ = ["Block", "Corpus", "Document", "Pair", "Text", "document", "text"]
