import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.actions import ArtifactCreate

from tasks.artifact_keys import artifact_key


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        (("node", "hair"), "node-hair"),
        (("node", "l_eye+r_eye"), "node-l-eye-r-eye"),
        (("level", "0"), "level-0"),
        (("Human Parsing",), "human-parsing"),
        (("node", "Ä+ß"), "node"),
        (("--a--", "b"), "a-b"),
        (("", "+"), "node"),
        ((), "node"),
    ],
)
def test_by_hand(parts: tuple[str, ...], key: str) -> None:
    assert artifact_key(*parts) == key


@given(st.lists(st.text(max_size=20), max_size=4))
def test_prefect_takes_every_key(parts: list[str]) -> None:
    key = artifact_key(*parts)
    assert key
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not key.startswith("-") and not key.endswith("-")
    assert artifact_key(key) == key
    ArtifactCreate(key=key, type="markdown", data="")
