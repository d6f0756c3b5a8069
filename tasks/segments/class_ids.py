"""Class ids of one class table in those of another, matched by name."""

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError


def class_id_table(own: dict[int, str], target: dict[int, str]) -> NDArray[np.uint8]:
    """Table from one class table's ids to another's, matched by name; for label maps to be looked up in.

    Returns:
        uint8 [256].

    Raises:
        InputError: a name is missing in the target.
    """
    by_name = {name: class_id for class_id, name in target.items()}
    table = np.zeros(256, dtype=np.uint8)
    for class_id, name in own.items():
        if name not in by_name:
            raise InputError(f"the segmenter's class {name!r} is not among the classes {', '.join(by_name)}")
        table[class_id] = by_name[name]
    return table
