"""What a store needs to be audited."""

from tasks.errors import InputError
from tasks.segments.source import SPLITS
from tasks.segments.store import SegmentStore


def check_auditable(store: SegmentStore) -> None:
    """Check that a store can be audited, before anything is trained for it.

    Raises:
        InputError: it has synthetic rows, no validation photos, or fewer than two labels that both splits have.
    """
    if any(row is not None for row in store.columns("train", ["provenance"])["provenance"]):
        raise InputError(
            f"the store {store.path} has rows that are no photos, and photos are audited: give the store that it was "
            "made from (a model that was trained on this one can be audited there)"
        )
    train, validation = (set(store.labels[split]) for split in SPLITS)
    if len(train & validation) < 2:
        raise InputError(
            f"an audit compares training with validation photos of the same labels, two or more; {store.path} has "
            f"{len(train & validation)} in both splits: prepare it with --val above 0, and not split by label"
        )
