"""Whether there are pairs enough, and what would help where there are not.

More pairs help only where a part happens to be empty. Where the tokenizer does not cut words as
pairs need them, what is wrong is said of the first line for which it is, and what to write instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from unexplained.errors import TextError
from unexplained.text.behaviours import Contrast
from unexplained.text.cutting import LENGTHS, NOT_ONE, REPEATED, SAME, Cut, Passed, word_after
from unexplained.text.document import Part
from unexplained.text.lines import printable
from unexplained.text.tokens import Encoder

SHARED = "for sharing a prompt with the eval part"

SHOWN = 60
"""Characters of a prompt that a message shows."""

ONE_ORBIT = (
    "All lines are of one orbit, which is neither divided nor resampled in parts: give one `orbit` "
    "only to lines that belong together, or to none."
)


def require_enough(
    behaviour: str,
    halves: Mapping[Part, Sequence[Cut]],
    asked: Mapping[Part, int],
    passed: Sequence[Passed],
    tokens: Encoder,
    *,
    own: bool,
) -> None:
    """Refuse a part with nothing in it; of a behaviour, also one with less than was asked for.

    Raises:
        TextError: There is such a part, with what would fill it.
    """
    sizes = {which: [len(orbit.pairs) for orbit in half] for which, half in halves.items()}
    there = {which: sum(some) for which, some in sizes.items()}
    wanted = [which for which in halves if asked[which]]
    if all(
        (own or there[which] >= asked[which] - asked[which] % 2)
        and min(sizes[which], default=asked[which] + 1) <= asked[which]
        for which in wanted
    ):
        return
    smallest = max(min(some, default=2) for some in sizes.values())
    split = " (a fifth to measure, by hash)" if asked["fit"] and not own else ""
    raise TextError(
        f"{asked['eval']} pairs to measure and {asked['fit']} to fit of '{printable(behaviour)}'",
        f"there are {there['eval']} and {there['fit']}{split}, in orbits of "
        f"{smallest} or more" + "".join(f"; {reason[:-1]}" for reason in reasons(passed, tokens)),
        _own(halves, sizes, asked, passed, tokens) if own else _ours(there, wanted),
    )


def reasons(passed: Sequence[Passed], tokens: Encoder) -> list[str]:
    """What to note about orbits that were passed over; of a file, what is wrong with the first."""
    notes = []
    for why, count in Counter(one.why for one in passed).items():
        first = next(one.contrast for one in passed if one.why == why)
        wrong, _ = _wrong(why, first, tokens) if first.where else ("", "")
        said = f" (first: {first.where}{wrong and f', where {wrong}'})" if first.where else ""
        notes.append(f"Orbits passed over {why}: {count}{said}.")
    return notes


def _ours(there: Mapping[Part, int], wanted: Sequence[Part]) -> str:
    if not all(there[which] for which in wanted):
        return (
            "Use a behaviour whose words this tokenizer has: `unexplained behaviours MODEL` tries "
            "them all."
        )
    return f"Ask for at most {_in_options(there['eval'], there['fit'])}."


def _in_options(measured: int, fitted: int) -> str:
    """Numbers of pairs as every command calls them; `sweep --pairs` is something else."""
    return (
        f"{measured} to measure and {fitted} to fit (circuit: --pairs {measured} and --fit-pairs "
        f"{fitted}; elsewhere --documents {measured // 2} and --fit-documents {fitted // 2}, which "
        "count a pair with its role-swap as one)"
    )


def _own(
    halves: Mapping[Part, Sequence[Cut]],
    sizes: Mapping[Part, Sequence[int]],
    asked: Mapping[Part, int],
    passed: Sequence[Passed],
    tokens: Encoder,
) -> str:
    """What helps where a file of the user's own leaves a part empty."""
    orbits = [orbit for half in halves.values() for orbit in half]
    empty = [which for which in halves if asked[which] and not halves[which]]
    counts = Counter(one.why for one in passed)
    if counts and (not orbits or counts[SHARED]) and (empty or not orbits):
        why = SHARED if orbits else counts.most_common(1)[0][0]
        return _wrong(why, next(one.contrast for one in passed if one.why == why), tokens)[1]
    if len(orbits) == 1:
        return ONE_ORBIT
    if not empty:
        least = {which: min(some, default=0) for which, some in sizes.items()}
        return (
            f"Orbits are not divided: ask for at least {_in_options(least['eval'], least['fit'])}."
        )
    if any(orbit.part for orbit in orbits):
        named = " and ".join(f'"part": "{which}"' for which in empty)
        return f"Mark lines with {named}: the marks in the file leave that part empty."
    return (
        'Mark lines with "part": "eval" and "part": "fit", or give more pairs: by hash 60 or more '
        "fill both parts."
    )


def _wrong(why: str, contrast: Contrast, tokens: Encoder) -> tuple[str, str]:
    """What is wrong with a pair, and what to do."""
    if why == NOT_ONE:
        return _not_one(contrast, tokens)
    if why == SAME:
        return _same(contrast, tokens)
    do = {
        LENGTHS: "Use words of equally many tokens.",
        REPEATED: "Lines that the tokenizer does not tell apart are one: write other prompts.",
        SHARED: "Prompts of one part are not in the other: give lines that share a prompt one "
        '`orbit`, or mark them with the same "part".',
    }
    return "", do[why]


def _not_one(contrast: Contrast, tokens: Encoder) -> tuple[str, str]:
    for prompt in (contrast.clean, contrast.corrupted):
        for word in (contrast.answer, contrast.wrong):
            if _fits(tokens, prompt, word):
                continue
            before, whole = tokens.encode([prompt, prompt + word], spelt=True)
            more = len(whole) - len(before)
            if not len(before):
                wrong = f"the prompt '{_end(prompt)}' has no token"
            elif more > 1 and np.array_equal(whole[: len(before)], before):
                wrong = f"'{word}' is {more} tokens after '{_end(prompt)}'"
            else:
                wrong = (
                    f"'{word}' is joined to the end of '{_end(prompt)}', or is no token of its own"
                )
            return wrong, _written_otherwise(prompt, word, tokens)
    return (
        f"'{contrast.answer}' or '{contrast.wrong}' is another token after each of the prompts",
        "Let both prompts end alike.",
    )


def _end(prompt: str) -> str:
    """The last words of a prompt, which may be long."""
    return prompt if len(prompt) <= SHOWN else f"…{prompt[-SHOWN:]}"


def _written_otherwise(prompt: str, word: str, tokens: Encoder) -> str:
    """How the same words are one token, if there is such a way."""
    bare = prompt.rstrip()
    if bare != prompt and _fits(tokens, bare, f" {word.strip()}"):
        return (
            f"A prompt must not end with the space that is part of the next word: write '{_end(bare)}' "
            f"and ' {word.strip()}'."
        )
    if not word[:1].isspace() and _fits(tokens, prompt, f" {word}"):
        return f"Write words with their leading space: ' {word}'."
    if word[:1].isspace() and _fits(tokens, prompt, word.lstrip()):
        return f"Write words without a leading space after such a prompt: '{word.lstrip()}'."
    ends = "" if bare == prompt else ", and prompts that do not end with a space"
    return f"Choose words that are one token of this tokenizer each{ends}."


def _fits(tokens: Encoder, prompt: str, word: str) -> bool:
    before, whole = tokens.encode([prompt, prompt + word], spelt=True)
    return word_after(before, whole) is not None


def _same(contrast: Contrast, tokens: Encoder) -> tuple[str, str]:
    clean, corrupted, answer, wrong = tokens.encode(
        [contrast.clean, contrast.corrupted, contrast.clean + contrast.answer,
         contrast.clean + contrast.wrong], spelt=True)  # fmt: skip
    do = (
        "Choose words that this tokenizer knows and tells apart: some have one token for all that "
        "they do not know, some make letters lower case."
    )
    if np.array_equal(clean, corrupted):
        return "the prompts are the same tokens", do
    if np.array_equal(answer, wrong):
        token = tokens.subject.tokenizer.convert_ids_to_tokens([int(answer[-1])])[0]
        return f"'{contrast.answer}' and '{contrast.wrong}' are both the token '{token}'", do
    return "", do
