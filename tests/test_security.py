"""What no line of ours may do with what comes from outside, checked on the syntax tree. docs/security.md says why."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
PATHS = [
    path
    for folder in ("flows", "tasks", "infra")
    for path in sorted((HOUSE / folder).rglob("*.py"))
    if "__pycache__" not in path.parts
]
# They run code that is hidden in data.
NO_IMPORT = ("pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "telnetlib", "ftplib")
NO_CALL = (
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "tempfile.mktemp", "yaml.unsafe_load",
    "yaml.full_load", "yaml.load_all", "mlflow.pyfunc.load_model", "torch.hub.load", "subprocess.getoutput",
)  # fmt: skip
NO_TRUE = ("shell", "allow_pickle", "trust_remote_code")
PLAIN_LOADERS = ("SafeLoader", "CSafeLoader", "BaseLoader", "_PlainLoader")
SECRET = re.compile(r"password|passwd|secret|token|api_?key", re.IGNORECASE)
WITH_TIMEOUT = re.compile(r"(requests|httpx)\.(get|post|put|patch|delete|head|options|request|stream)|.*\burlopen")


def offences(code: str) -> Iterator[str]:
    """What a file does that it must not, each with its line."""
    for node in ast.walk(ast.parse(code)):
        for name in imported(node):
            if name.split(".")[0] in NO_IMPORT:
                yield f"{node.lineno} imports {name}"  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            for fault in faults(name, node):
                yield f"{node.lineno} {name}: {fault}"
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for target in node.targets:
                if node.value.value and SECRET.search(ast.unparse(target)):
                    yield f"{node.lineno} writes a secret down"


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def faults(name: str, call: ast.Call) -> Iterator[str]:
    given = {keyword.arg: keyword.value for keyword in call.keywords}

    def is_true(argument: str) -> bool:
        return argument in given and not (isinstance(given[argument], ast.Constant) and not given[argument].value)  # type: ignore[attr-defined]

    if name in NO_CALL:
        yield "never"
    yield from (f"{argument} is not False" for argument in NO_TRUE if is_true(argument))
    if name in ("torch.load", "load") and name == "torch.load" and not is_true("weights_only"):
        yield "without weights_only"
    if name in ("np.load", "numpy.load") and "allow_pickle" not in given:
        yield "without allow_pickle=False"
    if name == "yaml.load" and ast.unparse(given.get("Loader", ast.Constant(None))).split(".")[-1] not in PLAIN_LOADERS:
        yield "without a plain loader"
    if name.startswith("subprocess.") and call.args and isinstance(call.args[0], ast.Constant | ast.JoinedStr):
        yield "a text where a list belongs"
    if WITH_TIMEOUT.fullmatch(name) and "timeout" not in given:
        yield "without a timeout"
    if name.split(".")[-1] == "Environment" and not is_true("autoescape"):
        yield "without autoescape"
    if name.split(".")[-1] in ("Markup", "mark_safe") and ast.unparse(call) != "Markup(code)":
        yield "text that is not escaped"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(HOUSE)))
def test_no_file_does_it(path: Path) -> None:
    assert list(offences(path.read_text(encoding="utf-8"))) == []


WRONG = """
import pickle
from dill import loads
from cloudpickle.cloudpickle import dumps
eval(text)
exec(text)
os.system("ls")
tempfile.mktemp()
yaml.unsafe_load(text)
yaml.load(text)
yaml.load(text, Loader=yaml.Loader)
yaml.load(text, Loader=yaml.UnsafeLoader)
torch.load(path)
torch.load(path, weights_only=False)
np.load(path)
np.load(path, allow_pickle=True)
AutoModel.from_pretrained(name, trust_remote_code=True)
AutoModel.from_pretrained(name, trust_remote_code=asked)
subprocess.run(["ls"], shell=True)
subprocess.run("ls")
subprocess.Popen(f"ls {folder}")
requests.get(address)
urllib.request.urlopen(address)
httpx.post(address)
Environment(loader=loader)
jinja2.Environment(autoescape=False)
Markup(name)
mlflow.pyfunc.load_model(address)
password = "abc"
self.api_key = "abc"
"""
RIGHT = """
import json
yaml.safe_load(text)
yaml.load(text, Loader=yaml.SafeLoader)
torch.load(path, map_location="cpu", weights_only=True)
np.load(path, allow_pickle=False)
subprocess.run(["ls", folder], timeout=3)
subprocess.run(command, shell=False)
requests.get(address, timeout=3)
Environment(autoescape=True)
model.eval()
re.compile(text)
password = os.environ["PASSWORD"]
token = ""
"""


@pytest.mark.parametrize("line", WRONG.strip().splitlines())
def test_each_offence_is_seen(line: str) -> None:
    assert list(offences(line))


def test_what_is_in_order_is_no_offence() -> None:
    assert list(offences(RIGHT)) == []


def test_templates_escape_all_and_scripts_write_text_only() -> None:
    templates = [*(HOUSE / "tasks" / "explanation" / "templates").iterdir()]
    assert len(templates) > 10
    for path in templates:
        code = path.read_text(encoding="utf-8")
        assert not re.search(
            r"\|\s*safe\b|autoescape|Markup|innerHTML|outerHTML|insertAdjacentHTML|document\.write", code
        ), path
        assert not re.search(r"""\b(src|href|action)\s*=\s*["']?(https?:)?//""", code), path
