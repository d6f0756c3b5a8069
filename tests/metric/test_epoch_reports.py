"""The reports of a finished node come back as of an earlier try; what cannot be read is none."""

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.metric.epoch_reports import NAME, read_reports, write_reports
from tasks.metric.evaluation import Precision
from tasks.metric.node_job import EpochReport

REPORTS = [
    EpochReport(
        epoch=epoch,
        loss=1 / (1 + epoch),
        learning_rate=1e-3,
        images_per_second=90.5,
        micro_batch=16,
        held_out=Precision.none(1),
        validation=Precision(at={1: 0.5, 2: 0.25, 8: None}, intervals={1: (0.0, 1.0), 2: None, 8: None}, n=4),
    )
    for epoch in range(3)
]


def test_reports_come_back_as_of_an_earlier_try(tmp_path: Path) -> None:
    write_reports(tmp_path, REPORTS)
    assert read_reports(tmp_path) == [replace(report, earlier=True) for report in REPORTS]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("text", ["", "{", "[1]", "[{}]", '{"a": 1}', "[null]", "[" * 100_000])
def test_what_cannot_be_read_is_none(text: str, tmp_path: Path) -> None:
    assert read_reports(tmp_path) == []
    (tmp_path / NAME).write_text(text)
    assert read_reports(tmp_path) == []
