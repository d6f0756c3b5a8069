"""Prefect artifacts, posted where the server answers: a training does not fail because a picture of it is not shown."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectHTTPStatusError

from tasks.explanation.markdown import markdown_text

T = TypeVar("T")

logger = logging.getLogger(__name__)


def post_markdown(key: str, markdown: str, description: str) -> None:
    """Post a text under a key of `artifact_key`; names from data in it have been through `markdown_text`."""
    said = markdown_text(description)
    _post(lambda: create_markdown_artifact(key=key, markdown=markdown, description=said), key)


def post_table(key: str, table: list[dict[str, Any]], description: str) -> None:
    """Post a table, as rows. Its texts are shown as they are, though Prefect's UI reads Markdown."""
    content = [
        {name: markdown_text(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in table
    ]
    said = markdown_text(description)
    _post(lambda: create_table_artifact(key=key, table=content, description=said), key)


class ProgressArtifact:
    """A bar in the task run's page, from 0 to 100 %."""

    def __init__(self, key: str, description: str) -> None:
        self._key = key
        said = markdown_text(description)
        self._id = _post(lambda: create_progress_artifact(progress=0.0, key=key, description=said), key)

    def reach(self, percent: float) -> None:
        """Move the bar, in [0, 100]."""
        if isinstance(self._id, UUID):  # else it could not be posted
            number = self._id
            _post(lambda: update_progress_artifact(artifact_id=number, progress=percent), self._key)


def _post(call: Callable[[], T], key: str) -> T | None:
    """The call's value; None if Prefect's server did not answer, which is said."""
    try:
        return call()
    except (httpx.TransportError, PrefectHTTPStatusError, RuntimeError) as error:
        # RuntimeError: what Prefect's client raises when it opens and nobody is there.
        if isinstance(error, RuntimeError) and "reach API" not in str(error):
            raise
        logger.warning("Prefect lacks the artifact %s, the run goes on: %s", key, error)
        return None
