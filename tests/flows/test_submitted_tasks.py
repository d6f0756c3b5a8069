"""Every task that a flow submits says where it is to run: read from the flows' syntax trees."""

import ast
from pathlib import Path

FLOWS = Path(__file__).parents[2] / "flows"

# What trains, evaluates or segments goes where the GPUs are; the rest stays away from them. Trainings of which several
# may share a GPU, and those that are tried again with a whole one, are `Trainings`.
TRAININGS = {"train", "train_beside", "cross_fit_subject", "carry", "stand_in"}
TRAINING = {"fit_source_segmenter", "explain", "judge", "measure_cost", "compare_remedies", "audit_store"}
ORDINARY = {"keep_segmenter", "decode_store", "assemble", "register", "keep_explanations", "make_remedy_store"}
EITHER = {"make_store_shard"}  # with a segmenter where the GPUs are, without one elsewhere


def named(task: ast.expr) -> str:
    """The task's name, also behind `with_options(...)`."""
    if isinstance(task, ast.Call) and isinstance(task.func, ast.Attribute) and task.func.attr == "with_options":
        return named(task.func.value)
    return task.id if isinstance(task, ast.Name) else ""


def submitted(path: Path) -> dict[str, set[str]]:
    """Name of each task whose `submit` a file mentions, to the functions called around it by `with`."""
    found: dict[str, set[str]] = {}

    def visit(node: ast.AST, around: set[str]) -> None:
        if isinstance(node, ast.With):
            called = {call.func.id for item in node.items for call in ast.walk(item) if isinstance(call, ast.Call)
                      and isinstance(call.func, ast.Name)}  # fmt: skip
            around = around | called
        if isinstance(node, ast.Attribute) and node.attr == "submit" and (task := named(node.value)):
            found.setdefault(task, set()).update(around & {"training_resources", "ordinary_resources"})
        for child in ast.iter_child_nodes(node):
            visit(child, around)

    visit(ast.parse(path.read_text(encoding="utf-8")), set())
    return found


def test_every_task_is_placed() -> None:
    found = {
        (path.name, name): around for path in sorted(FLOWS.glob("*.py")) for name, around in submitted(path).items()
    }
    assert found.pop(("trainings.py", "training")) == {"training_resources"}  # each of the trainings, with its share
    here, there = {"training_resources"}, {"ordinary_resources"}
    groups = ((TRAININGS, set[str]()), (TRAINING, here), (ORDINARY, there), (EITHER, here | there))
    expected = {name: around for names, around in groups for name in names}
    assert {place: around for place, around in found.items() if around != expected.get(place[1])} == {}
    assert {name for _, name in found} == set(expected)
