"""A store with new training samples: each a photo with one segment of another photo."""

from pathlib import Path

from tasks.bias.derived_store import NewRow, make_copy, new_copies, write_derived_store
from tasks.bias.exchange import Picture, exchange_segment
from tasks.bias.partners import store_pairs
from tasks.bias.plan import RecombinationPlan
from tasks.bias.training_photos import held_out_halves, training_photos
from tasks.segments.pictures import decode_image, decode_label_map, encode_image, encode_label_map
from tasks.segments.provenance import Provenance
from tasks.segments.store import SegmentStore
from tasks.segments.store_row import Row, describe_segments


def write_recombined_store(store: SegmentStore, plan: RecombinationPlan, out: Path) -> SegmentStore:
    """Write a store with the photos of another one and, after its training photos, the new samples of a plan.

    Of the photos that are held out, one half follows as copies and samples are made of the other half alone: these are
    judged by, and no two of them have a receiver or a donor in common. The held-out photos themselves are not used.

    The validation split is the store's. A second run makes only the shards that are missing.

    Args:
        store: photos alone.
        plan: which segment is exchanged between which photos.
        out: folder of the new store.

    Raises:
        InputError: the plan does not fit the store, the store has synthetic rows already, `out` is the store itself or
            holds another one, or a picture cannot be decoded.
        OSError: the disk is full; the shards that are finished stay.
    """
    class_ids = plan.class_ids(store)
    photos = training_photos(store, plan.seed)
    new = [
        NewRow(
            image_id=f"synthetic-{plan.kind}-{plan.segment}-{number:05d}",
            receiver=pair.receiver,
            donor=pair.donor,
            provenance=Provenance(
                kind=plan.kind,
                segment=plan.segment,
                receiver=photos.image_ids[pair.receiver],
                donor=photos.image_ids[pair.donor],
                seed=plan.seed,
                held_out=bool(photos.held_out[pair.receiver]),
            ),
        )
        for number, pair in enumerate(store_pairs(store, photos, plan))
    ]
    new += new_copies(photos, held_out_halves(photos, plan.seed)[0].tolist(), plan.seed)

    def make(row: NewRow, receiver: Row, donor: Row) -> Row:
        if row.provenance.kind == "copy":
            return make_copy(row, receiver, donor)
        sample = exchange_segment(row_picture(receiver), row_picture(donor), class_ids)
        return Row(
            image_id=row.image_id,
            split="train",
            label=receiver.label,
            group=donor.group if plan.kind == "balance-group" else None,
            image=encode_image(sample.image),
            image_path=f"{row.image_id}.png",
            mask=encode_label_map(sample.label_map),
            segments=describe_segments(sample.label_map, store.classes),
            provenance=row.provenance,
        )

    return write_derived_store(store, new, make, out, photos=True, note={"recombined": plan.to_dict()})


def row_picture(row: Row) -> Picture:
    """A row's photo and label map.

    Raises:
        InputError: one of them cannot be decoded.
    """
    return Picture(decode_image(row.image, row.image_id), decode_label_map(row.mask, row.image_id))
