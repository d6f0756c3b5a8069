"""Artifacts are posted where a server answers, and a run goes on where none does."""

import logging

import httpx
import pytest

from tasks import artifacts


def test_what_cannot_be_posted_is_said_and_not_raised(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def gone(**fields: object) -> None:
        calls.append(str(fields["key"]))
        raise httpx.ConnectError("refused")

    for name in ("create_markdown_artifact", "create_table_artifact", "create_progress_artifact"):
        monkeypatch.setattr(artifacts, name, gone)
    with caplog.at_level(logging.WARNING):
        artifacts.post_markdown("node-hair", "text", "P@K")
        artifacts.post_table("level-0", [{"node": "hair"}], "P@K")
        artifacts.ProgressArtifact("progress-hair", "epochs").reach(50.0)
    assert calls == ["node-hair", "level-0", "progress-hair"]
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        f"Prefect lacks the artifact {key}" for key in calls
    ]


def test_errors_of_ours_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(**_: object) -> None:
        raise RuntimeError("a table needs rows")

    monkeypatch.setattr(artifacts, "create_table_artifact", wrong)
    with pytest.raises(RuntimeError, match="a table needs rows"):
        artifacts.post_table("level-0", [], "P@K")
