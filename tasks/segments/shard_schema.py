"""What a shard's Parquet file looks like: its columns, its header, and how large it may be."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

STORE_VERSION = 2
METADATA_KEY = b"heml"
ROWS_A_GROUP = 64  # 64 photos of up to 1.5 MB stay under the 100 MB that viewers ask of a row group
# A few bytes of Parquet can stand for any number of rows, so no more are believed than a shard of ours could have.
MOST_ROWS = 10_000
MOST_PICTURE_BYTES = 100 << 20  # of one photo or label map, as a file

SEGMENT_TYPE = pa.struct(
    [("name", pa.string()), *((field, pa.int32()) for field in ("class_id", "area", "top", "left", "bottom", "right"))]
)
PICTURE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
PROVENANCE_TYPE = pa.struct(
    [
        *((field, pa.string()) for field in ("kind", "segment", "receiver", "donor")),
        ("seed", pa.int64()),
        ("held_out", pa.bool_()),
    ]
)
SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("split", pa.string()),
        ("label", pa.string()),
        ("group", pa.string()),
        ("image", PICTURE_TYPE),
        ("mask", PICTURE_TYPE),
        ("segments", pa.list_(SEGMENT_TYPE)),
        ("provenance", PROVENANCE_TYPE),
    ]
)


@dataclass(frozen=True, kw_only=True)
class ShardHeader:
    """What a shard says of itself in its schema's metadata.

    Attributes:
        version: of the store's layout.
        source: name of the data set.
        classes: class id to name.
        key: digest of all that the shard is made from; a shard with this key need not be made again.
        digest: SHA-256 over the rows.
        part: number of the shard in its split, from 0.
        parts: number of shards of the split.
        rows: number of images.
        notes: facts about the data, such as the segmenter's figures.
    """

    version: int
    source: str
    classes: dict[int, str]
    key: str
    digest: str
    part: int
    parts: int
    rows: int
    notes: dict[str, Any]


def viewer_features() -> dict[str, Any]:
    """The columns as the viewers of Hugging Face's `datasets` know them."""

    def value(dtype: str) -> dict[str, str]:
        return {"dtype": dtype, "_type": "Value"}

    features: dict[str, Any] = {name: value("string") for name in ("image_id", "split", "label", "group")}
    features |= {name: {"_type": "Image"} for name in ("image", "mask")}
    features["segments"] = [{field.name: value(str(field.type)) for field in SEGMENT_TYPE}]
    features["provenance"] = {field.name: value(str(field.type)) for field in PROVENANCE_TYPE}
    return {"info": {"features": features}}
