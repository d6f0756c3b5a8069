"""Keys of Prefect artifacts: lowercase letters, digits and dashes only."""

import re


def artifact_key(*parts: str) -> str:
    """Parts joined by dashes, all else turned into dashes.

    Returns:
        A key that Prefect takes: it matches `[a-z0-9-]+`.
    """
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-") or "node"
