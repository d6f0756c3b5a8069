"""What a finished node's epochs showed, kept beside its result: epochs.json."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tasks.metric.node_job import EpochReport
from tasks.temporary_path import write_whole

NAME = "epochs.json"


def write_reports(folder: Path, reports: Sequence[EpochReport]) -> None:
    """Write the reports of all epochs into the node's folder, whole or not at all.

    Raises:
        OSError: the disk is full.
    """
    write_whole(folder / NAME, json.dumps([report.to_dict() for report in reports], indent=1))


def read_reports(folder: Path) -> list[EpochReport]:
    """The reports of a finished node, as of an earlier try; none where they are not there or cannot be read."""
    try:
        fields = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return [replace(EpochReport.from_dict(report), earlier=True) for report in fields]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
