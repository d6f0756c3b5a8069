"""Damaged bytes, and the check that a reader of them answers or refuses, soon and with little memory."""

import logging
import random
import resource
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.errors import InputError

logger = logging.getLogger(__name__)

# Each property holds for a few inputs in every run, and for ten thousand in the slow one.
EXAMPLES = (
    pytest.param(150, id="some"),
    pytest.param(10_000, id="10000", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
)
MOST_SECONDS = 3.0  # of the process's own time, so that a busy machine does not matter
MOST_MEMORY = 1 << 30  # bytes by which the process may grow over all inputs


@st.composite
def damaged(draw: st.DrawFn, originals: Sequence[bytes], tail: int = 0) -> tuple[bytes, bytes]:
    """One of the originals, and it with up to six edits: bits flipped, bytes set, cut out, put in or moved.

    Args:
        draw: hypothesis's.
        originals: to choose from.
        tail: so many last bytes are hit by half of the edits; 0 for no such preference.
    """
    original = draw(st.sampled_from(originals))
    data, chance = bytearray(original), random.Random(draw(st.integers(0, 1 << 62)))
    for _ in range(draw(st.sampled_from((0, 1, 1, 1, 2, 3, 6)))):
        edit = chance.choice(("flip", "set", "cut", "insert", "move"))
        first = max(0, len(data) - tail) if tail and chance.random() < 0.5 else 0
        place, length = chance.randrange(first, len(data) + 1), chance.choice((1, 1, 2, 4, 8, 40))
        part = data[place : place + length]
        if edit == "flip" and part:
            data[place] ^= 1 << chance.randrange(8)
        elif edit == "set" and part:
            data[place : place + length] = bytes([chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))]) * len(
                part
            )
        elif edit == "cut":
            del data[place : place + length]
        elif edit == "insert":
            data[place:place] = chance.randbytes(length)
        elif edit == "move":
            target = chance.randrange(len(data) + 1)
            data[target : target + len(part)] = part
    return original, bytes(data)


def every_input(examples: int, inputs: st.SearchStrategy[Any], check: Callable[[Any], str | None]) -> Counter[str]:
    """Give inputs to a check and count what it says, or "refused" where it raises InputError in one line.

    Args:
        examples: how many inputs.
        inputs: where they come from.
        check: reads one, looks at the answer, and says what kind of answer it was; None for "answered".
    """
    counts: Counter[str] = Counter()
    slowest = 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(inputs)
    def holds(given_input: Any) -> None:
        nonlocal slowest
        began = time.process_time()
        try:
            # Pillow warns of odd metadata and reads on: what it says on standard error is no answer of ours.
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
                counts[check(given_input) or "answered"] += 1
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 2000
            counts["refused"] += 1
        slowest = max(slowest, time.process_time() - began)

    holds()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    logger.info("%s, the slowest took %.2f s, memory grew by %d MB", dict(counts), slowest, grown >> 20)
    assert slowest < MOST_SECONDS
    assert grown < MOST_MEMORY
    return counts
