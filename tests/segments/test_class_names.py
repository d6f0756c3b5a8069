from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.segments.class_names import class_table_names, read_class_names


def test_class_names_may_be_a_list(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('["sky", "tree"]')
    assert read_class_names(tmp_path / "c.json") == {0: "sky", 1: "tree"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "no class table"),
        ("7", "no class table"),
        ('{"a": "sky"}', "no class table"),
        ('{"0": ""}', "no class table"),
        ('{"0": 3}', "no class table"),
        ('["sky", "sky"]', "no class table"),
        ('{"256": "sky"}', "class id 256: ids are 0..255"),
        ('{"-1": "sky"}', "class id -1: ids are 0..255"),
        ("{", "cannot be read .*: save it as JSON"),
    ],
)
def test_wrong_class_names_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_class_names(tmp_path / "c.json")


def test_a_missing_file_says_which_tables_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is missing: .* one of celeba, human-parsing, sceneparse150"):
        read_class_names(tmp_path / "c.json")
    (tmp_path / "c.json").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=r"cannot be read .*: save it in UTF-8"):
        read_class_names(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("name", "count", "some"),
    [
        ("celeba", 19, {0: "background", 1: "skin", 13: "hair", 18: "cloth"}),
        ("human-parsing", 18, {0: "Background", 4: "Upper-clothes", 7: "Dress", 17: "Scarf"}),
        (
            "sceneparse150",
            151,
            {0: "other", 1: "wall", 2: "building", 73: "palm", 90: "television receiver", 150: "flag"},
        ),
    ],
)
def test_built_in_tables(name: str, count: int, some: dict[int, str]) -> None:
    assert name in class_table_names()
    table = read_class_names(Path(name))
    assert list(table) == list(range(count)) and some.items() <= table.items()


def test_ade20k_s_own_table_gives_the_first_synonym(tmp_path: Path) -> None:
    header = "Idx\tRatio\tTrain\tVal\tStuff\tName\n"
    rows = (
        "1\t0.1576\t11664\t1172\t1\twall\n2 \t0.1072\t6046\t612\t1\tbuilding, edifice \n8\t0.02\t1906\t199\t0\tbed \n"
    )
    file = tmp_path / "objectInfo150.txt"
    file.write_text(header + rows)
    assert read_class_names(file) == {0: "other", 1: "wall", 2: "building", 8: "bed"}
    file.write_text((header + rows).replace("\n", "\r\n"))
    assert read_class_names(file) == {0: "other", 1: "wall", 2: "building", 8: "bed"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 wall\n2 building\n", "columns Idx and Name separated by tabs"),
        ("Idx\tName\none\twall\n", "columns Idx and Name separated by tabs"),
        ("Idx\tRatio\tName\n1\t0.1\n", "columns Idx and Name separated by tabs"),
        ("Idx\tName\n1\twall\n2\twall, fence\n", "needs one name for each id"),
        ("Idx\tName\n300\twall\n", "class id 300"),
    ],
)
def test_other_text_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.txt").write_text(content)
    with pytest.raises(InputError, match=message) as raised:
        read_class_names(tmp_path / "c.txt")
    assert "\n" not in str(raised.value)
