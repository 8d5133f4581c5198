"""The order in which documents of several domains are used, so that any beginning is mixed."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence

from unexplained.text.document import Document


def mixed(
    documents: Sequence[Document],
    weights: Mapping[str, float],
    cost: Callable[[Document], float] = lambda _: 1.0,
) -> Iterator[Document]:
    """Yield every document once, always from the domain that is furthest below its share.

    Within a domain the given order is kept. A domain that runs out leaves its share to the others,
    in proportion to their weights.

    Args:
        documents: Documents whose domains all have a weight.
        weights: Domain → share, positive.
        cost: What a document counts for: 1 mixes by number, a length mixes by length.

    >>> letters = [Document(c, c, "upper" if c.isupper() else "lower") for c in "abcdefABC"]
    >>> "".join(d.text for d in mixed(letters, {"lower": 2, "upper": 1}))
    'aAbcBdeCf'
    """
    queues: dict[str, list[Document]] = {domain: [] for domain in weights}
    for item in reversed(documents):
        queues[item.domain].append(item)
    # Ties go by the domain's place in the table, so that the order is the same everywhere.
    heap = [(0.0, place, domain) for place, domain in enumerate(weights) if queues[domain]]
    while heap:
        given, place, domain = heapq.heappop(heap)
        item = queues[domain].pop()
        yield item
        if queues[domain]:
            heapq.heappush(heap, (given + cost(item) / weights[domain], place, domain))
