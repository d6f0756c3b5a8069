"""Holds the method to its docstrings: in every test, the arrays of its functions have the shapes, dtypes and ranges
that "Args", "Returns" and "Attributes" state, and a size of one name is one size throughout a call."""

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, is_dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import FunctionType, ModuleType
from typing import Any

import jaxtyping
import numpy as np
import torch

DTYPES = {
    "uint8": jaxtyping.UInt8, "int64": jaxtyping.Int64, "int": jaxtyping.Integer, "bool": jaxtyping.Bool,
    "float": jaxtyping.Float, "float32": jaxtyping.Float32, "float64": jaxtyping.Float64, "": jaxtyping.Shaped,
}  # fmt: skip
RANGE = r"(?P<low>-?[\d.]+), (?P<high>[\d.]+|inf)"
DTYPE = rf"\b(?P<dtype>{'|'.join(filter(None, DTYPES))}) "
SHAPE = re.compile(rf"(?<!in )(?:{DTYPE})?\[(?P<sizes>[^\]]+)\](?: in \[{RANGE}\])?")
ENTRY = re.compile(r"^    (?P<names>\w+(?:, \w+)*): (?P<text>.*(?:\n {8}.*)*)", re.MULTILINE)
ROUNDING = 1e-5


@dataclass(frozen=True)
class Shape:
    """What a docstring states of an array, such as "float32 [n, 3, h, w]" or "[n, m] in [0, 1]; empty if ..."."""

    text: str
    dtype: str
    sizes: tuple[str, ...]
    low: float = -np.inf
    high: float = np.inf
    may_be_empty: bool = False

    def check(self, value: Any, numbers: dict[str, int], what: str) -> None:
        """Hold each array that the value is or lists to it, within a `jaxtyped` context where it is one array."""
        if isinstance(value, list | tuple):
            for one in value:
                with jaxtyping.jaxtyped("context"):
                    self.check(one, numbers, what)
        if not isinstance(value, np.ndarray | torch.Tensor) or (self.may_be_empty and 0 in value.shape):
            return
        sizes = " ".join(_size(size, numbers) for size in self.sizes)
        kind = np.ndarray if isinstance(value, np.ndarray) else torch.Tensor
        if not isinstance(value, DTYPES[self.dtype][kind, sizes]):
            raise AssertionError(f"{what} is {value.dtype} {list(value.shape)}, but documented as {self.text}")
        if np.isfinite(self.low) and len(inside := value[value == value].reshape(-1)):
            least, greatest = inside.min().item(), inside.max().item()
            if least < self.low - ROUNDING or greatest > self.high + ROUNDING:
                raise AssertionError(f"{what} is in [{least}, {greatest}], but documented as {self.text}")


def shapes_in(text: str) -> list[Shape]:
    """The shapes that a piece of a docstring states, in order."""
    stated = [found for found in SHAPE.finditer(text) if not re.fullmatch(RANGE, found["sizes"])]
    return [
        Shape(found[0], found["dtype"] or "", tuple(found["sizes"].split(", ")),
              float(found["low"] or -np.inf), float(found["high"] or np.inf), "empty" in text)
        for found in stated
    ]  # fmt: skip


def _size(size: str, numbers: dict[str, int]) -> str:
    """A size in jaxtyping's language, with whole numbers put for their names; "_" where it is told in words."""
    known = re.sub(r"[A-Za-z_]\w*", lambda name: str(numbers.get(name[0], name[0])), size.replace("'", "_"))
    if re.fullmatch(r"[\d+*/() -]+", known):
        return str(eval(known, {"__builtins__": {}}))
    return known if known == "..." or known.isidentifier() else "_"


@dataclass(frozen=True)
class Documented:
    """The shapes of a docstring: of each argument or attribute, of what is returned, and of the summary's `a -> b`."""

    named: dict[str, Shape]
    returned: list[Shape]
    before: list[Shape]
    after: list[Shape]


def documented(docstring: str) -> Documented:
    """Read a docstring."""
    sections: dict[str, list[str]] = {"": []}
    section = ""
    for line in inspect.cleandoc(docstring).splitlines():
        if line in ("Args:", "Returns:", "Attributes:", "Raises:", "Yields:"):
            section = line.rstrip(":")
        sections.setdefault(section, []).append(line)
    entries = ENTRY.finditer("\n".join(sections.get("Args", []) + sections.get("Attributes", [])))
    named = {
        name: found[0]
        for entry in entries
        if len(found := shapes_in(entry["text"])) == 1
        for name in entry["names"].split(", ")
    }
    before, arrow, after = " ".join(sections[""]).partition("->")
    returned = shapes_in(" ".join(sections.get("Returns", [])))
    return Documented(named, returned, shapes_in(before) if arrow else [], shapes_in(after) if arrow else [])


def checked(function: Callable[..., Any], shapes: Documented) -> Callable[..., Any]:
    """The function, whose calls that end well are held to these shapes."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        numbers = {name: value for name, value in given.items() if type(value) is int}
        numbers |= {n: v for n, v in function.__globals__.items() if n.isupper() and type(v) is int}
        where = f"{function.__module__}.{function.__qualname__}"
        arrays = [name for name, value in given.items() if isinstance(value, np.ndarray | torch.Tensor)]
        named = shapes.named
        if len(shapes.before) == len(arrays):
            named = dict(zip(arrays, shapes.before, strict=True)) | named
        with jaxtyping.jaxtyped("context"):
            for name, shape in named.items():
                shape.check(given.get(name), numbers, f"{where}: {name}")
            returned = shapes.returned or (shapes.after if len(shapes.before) == len(arrays) else [])
            if isinstance(result, tuple) and len(result) == len(returned):
                for place, (shape, value) in enumerate(zip(returned, result, strict=True)):
                    shape.check(value, numbers, f"{where}: returned value {place}")
            elif returned and not isinstance(result, list | tuple):
                returned[0].check(result, numbers, f"{where}: what it returns")
        return result

    return call


def checked_fields(kind: type, shapes: Documented) -> None:
    """Have each object of a data class that is made held to these shapes."""
    made = kind.__init__

    @functools.wraps(made)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        with jaxtyping.jaxtyped("context"):
            for name, shape in shapes.named.items():
                shape.check(getattr(self, name, None), {}, f"{kind.__module__}.{kind.__qualname__}: {name}")

    kind.__init__ = init  # type: ignore[method-assign]


def _functions(owner: ModuleType | type, module: str) -> Iterator[tuple[ModuleType | type, str, FunctionType]]:
    for name, value in list(vars(owner).items()):
        if isinstance(value, FunctionType) and value.__module__ == module:
            yield owner, name, value
        elif isinstance(value, type) and value.__module__ == module and isinstance(owner, ModuleType):
            yield from _functions(value, module)


def check_module(module: ModuleType) -> None:
    """Replace a module's functions, methods and data classes by ones that are held to their docstrings."""
    for owner, name, function in _functions(module, module.__name__):
        shapes = documented(function.__doc__ or "")
        if shapes.named or shapes.returned or shapes.after:
            setattr(owner, name, checked(function, shapes))
    for kind in [value for value in vars(module).values() if isinstance(value, type) and is_dataclass(value)]:
        if kind.__module__ == module.__name__ and (shapes := documented(kind.__doc__ or "")).named:
            checked_fields(kind, shapes)


class _CheckingLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        check_module(module)


class DocstringShapes:
    """Finds the modules of these packages in place of the usual finder, and holds them to their docstrings."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.prefixes = tuple(f"{package}." for package in packages)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """As `importlib.abc.MetaPathFinder.find_spec`."""
        spec = PathFinder.find_spec(name, path) if name.startswith(self.prefixes) else None
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _CheckingLoader(spec.loader.name, spec.loader.path)
        return spec


def install(packages: Sequence[str]) -> None:
    """Hold all modules of these packages that are imported from now on to their docstrings."""
    early = [name for name in sys.modules if name.startswith(tuple(packages))]
    assert not early, f"imported before their docstrings could be checked: {early}"
    sys.meta_path.insert(0, DocstringShapes(packages))
