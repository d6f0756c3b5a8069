"""From a table of pairs to one page a pair, and the list of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import InputError
from tasks.explanation.explain_photos import explain_photos
from tasks.explanation.pair_list import write_pair_list
from tasks.explanation.pair_table import PairRow
from tasks.explanation.record import PairExplanation
from tasks.metric.trained_tree import TrainedTree


def explain_pairs(trained: TrainedTree, rows: Sequence[PairRow], out: Path) -> Iterator[PairExplanation]:
    """Explain the pairs one after the other, each in its folder below `out`, and write their list at the end.

    A row that cannot be explained ends it: what was written before stays, and is listed.

    Yields:
        Each pair's explanation, when its files are written.

    Raises:
        InputError: a photo or a mask cannot be used, or a mask is missing and the tree has no segmenter. It names the
            row.
    """
    done: list[PairRow] = []
    try:
        for row in rows:
            with naming(row):
                explanation = explain_photos(
                    trained, row.photos, row.masks, out / row.place.folder, labels=row.labels, place=row.place
                )
            done.append(row)
            yield explanation
    finally:
        if done:
            write_pair_list(done, out)


@contextmanager
def naming(row: PairRow) -> Iterator[None]:
    """Puts the row before the message of an InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{row.where}: {error}") from None
