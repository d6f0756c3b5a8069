"""Rules about the house itself, checked on the syntax tree: who may import whom, and how long a file may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HOUSE = Path(__file__).parent.parent
METHOD_ROOMS = ("segments", "metric", "explanation", "judging", "bias", "study", "bench")
ENGINES = ("prefect", "prefect_dask", "dask", "distributed", "mlflow", "typer", "pydantic", "pydantic_settings")
LONGEST_FILE = 400


def python_files(*folders: str) -> list[Path]:
    return [
        path for folder in folders for path in sorted((HOUSE / folder).rglob("*.py")) if "__pycache__" not in path.parts
    ]


def imported_modules(path: Path) -> Iterator[str]:
    """Dotted names of all that a file imports, also inside of functions."""
    package = path.relative_to(HOUSE).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def offences(paths: list[Path], forbidden: tuple[str, ...], allowed: tuple[str, ...] = ()) -> list[str]:
    found = []
    for path in paths:
        for name in imported_modules(path):
            inside = any(name == top or name.startswith(f"{top}.") for top in forbidden)
            if inside and not any(name == one or name.startswith(f"{one}.") for one in allowed):
                found.append(f"{path.relative_to(HOUSE)} imports {name}")
    return found


def test_the_method_knows_no_orchestrator() -> None:
    paths = python_files(*(f"tasks/{room}" for room in METHOD_ROOMS))
    assert len(paths) > 30
    assert offences(paths, (*ENGINES, "flows", "infra")) == []


def test_tasks_do_not_import_flows() -> None:
    assert offences(python_files("tasks"), ("flows",)) == []


def test_infra_imports_nothing_of_flows_and_of_tasks_only_the_error() -> None:
    assert offences(python_files("infra"), ("flows",)) == []
    assert offences(python_files("infra"), ("tasks",), allowed=("tasks.errors",)) == []


def test_a_room_imports_no_room_further_down() -> None:
    # The way of the data: segments, then metric, then explanation, judged, then bias; studies look at all of it.
    for number, room in enumerate(METHOD_ROOMS):
        later = tuple(f"tasks.{name}" for name in METHOD_ROOMS[number + 1 :])
        assert offences(python_files(f"tasks/{room}"), later) == []


def test_the_rooms_do_not_import_the_thin_tasks() -> None:
    thin = tuple(f"tasks.{path.stem}" for path in (HOUSE / "tasks").glob("*.py") if path.stem not in ("__init__",))
    paths = python_files(*(f"tasks/{room}" for room in METHOD_ROOMS))
    assert (
        offences(
            paths,
            thin,
            allowed=(
                "tasks.errors",
                "tasks.mixed_precision",
                "tasks.paired_rounds",
                "tasks.printable",
                "tasks.temporary_path",
            ),
        )
        == []
    )


def test_no_file_is_longer_than_400_lines() -> None:
    paths = [
        path
        for folder in ("flows", "tasks", "infra", "tests")
        for path in (HOUSE / folder).rglob("*")
        if path.is_file() and path.suffix in (".py", ".html", ".css", ".js", ".yaml", ".yml", ".toml", ".sh", ".slurm")
    ]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {str(path.relative_to(HOUSE)): n for path, n in lengths.items() if n > LONGEST_FILE} == {}


def test_no_file_is_a_drawer_for_odds_and_ends() -> None:
    names = {path.stem for path in python_files("flows", "tasks", "infra", "tests")}
    assert not names & {"utils", "util", "helpers", "helper", "misc", "common"}


def test_every_package_can_be_found() -> None:
    for path in python_files("flows", "tasks", "infra"):
        assert (path.parent / "__init__.py").is_file(), path.parent


BLOCKED_IMPORTS = """
import importlib, pkgutil, sys
for name in {blocked!r}:
    sys.modules[name] = None
count = 0
for package in {packages!r}:
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{{package}}.{{module.name}}")
        count += 1
print(count)
"""


def test_the_method_can_be_imported_without_any_of_them() -> None:
    packages = tuple(f"tasks.{room}" for room in METHOD_ROOMS)
    code = BLOCKED_IMPORTS.format(
        blocked=(*ENGINES, "datasets", "rich", "skimage", "pytorch_grad_cam", "captum", "faiss"), packages=packages
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=HOUSE, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    folders = [HOUSE / package.replace(".", "/") for package in packages]
    assert int(done.stdout) == sum(len(list(folder.glob("*.py"))) - 1 for folder in folders)
