"""Holds the method to its docstrings: in every test, the arrays of its functions have the shapes, dtypes and ranges
that are stated of them, and a size of one name is one size throughout a call.

Read are "Args", "Returns", "Attributes" of data classes and named tuples, and summaries such as "Cosines, float [n, d]
and [m, d] -> [n, m]." or "Rows, float [n, d].". Only calls that end well are held, after they have: wrong input is the
function's own to refuse. Not held are functions behind a cache, iterators, nested lists, NaN, and other processes.
"""

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
    "uint8": jaxtyping.UInt8, "int32": jaxtyping.Int32, "int64": jaxtyping.Int64, "int": jaxtyping.Integer,
    "bool": jaxtyping.Bool, "float16": jaxtyping.Float16, "bfloat16": jaxtyping.BFloat16, "float": jaxtyping.Float,
    "float32": jaxtyping.Float32, "float64": jaxtyping.Float64, "": jaxtyping.Shaped,
}  # fmt: skip
RANGE = r"(?P<low>-?[\d.]+), (?P<high>[\d.]+|inf)"
DTYPE = rf"\b(?P<dtype>{'|'.join(filter(None, DTYPES))}) "
SHAPE = re.compile(rf"(?<!in )(?:{DTYPE})?\[(?P<sizes>[^\]]+)\](?: in \[{RANGE}\])?")
ENTRY = re.compile(r"^    (?P<names>\w+(?:, \w+)*): (?P<text>.*(?:\n {8}.*)*)", re.MULTILINE)
ROUNDING = 1e-5
held: list[str] = []
"""Where each shape that is held stands."""


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
        """Hold the array, or each that a list or a table has, to it, within a `jaxtyped` context where it is one."""
        if isinstance(value, list | tuple | dict):
            for one in value.values() if isinstance(value, dict) else value:
                if is_array(one):
                    with jaxtyping.jaxtyped("context"):
                        self.check(one, numbers, what)
        if not is_array(value) or (self.may_be_empty and 0 in value.shape):
            return
        sizes = " ".join(_size(size, numbers) for size in self.sizes)
        kind = np.ndarray if isinstance(value, np.ndarray) else torch.Tensor
        if not isinstance(value, DTYPES[self.dtype][kind, sizes]):
            raise AssertionError(f"{what} is {value.dtype} {list(value.shape)}, but documented as {self.text}")
        if np.isfinite(self.low) and len(inside := value[value == value].reshape(-1)):
            least, greatest = inside.min().item(), inside.max().item()
            if least < self.low - ROUNDING or greatest > self.high + ROUNDING:
                raise AssertionError(f"{what} is in [{least}, {greatest}], but documented as {self.text}")


def is_array(value: object) -> bool:
    """Whether it has a shape and a dtype to hold it to."""
    return isinstance(value, np.ndarray | torch.Tensor)


def shapes_in(text: str) -> list[Shape]:
    """The shapes that a piece of a docstring states, in order."""
    text = " ".join(text.split())
    found = [one for one in SHAPE.finditer(text) if one["dtype"] or not re.fullmatch(RANGE, one["sizes"])]
    ends = [*(one.start() for one in found), len(text)][1:]
    return [
        Shape(one[0], one["dtype"] or "", tuple(one["sizes"].split(", ")),
              float(one["low"] or -np.inf), float(one["high"] or np.inf),
              "empty" in text[one.end():end])
        for one, end in zip(found, ends, strict=True)
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

    @property
    def count(self) -> int:
        """How many."""
        return len(self.named) + len(self.returned) + len(self.before) + len(self.after)


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
    first = " ".join(sections[""])
    before, arrow, after = first.partition(" -> ")
    if not arrow:
        before, arrow, after = first.partition(" to ")
    if not arrow or not shapes_in(before):
        before, after = "", first if len(shapes_in(first)) == 1 else ""
    if "Returns" in sections:
        return Documented(named, shapes_in(" ".join(sections["Returns"])), [], [])
    return Documented(named, [], shapes_in(before), shapes_in(after))


def checked(function: Callable[..., Any], shapes: Documented) -> Callable[..., Any]:
    """The function, whose calls that end well are held to these shapes."""
    signature = inspect.signature(function)
    known = {name: value for name, value in inspect.unwrap(function).__globals__.items() if name.isupper()}
    where = f"{function.__module__}.{function.__qualname__}"
    held.extend([where] * shapes.count)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        numbers = {name: value for name, value in {**known, **given}.items() if type(value) is int}
        arrays = [name for name, value in given.items() if is_array(value)]
        named, returned = dict(shapes.named), shapes.returned or shapes.after
        if len(shapes.before) == len(arrays):
            named |= {name: shape for name, shape in zip(arrays, shapes.before, strict=True) if name not in named}
        elif shapes.before:
            returned = []  # the summary tells of something else
        with jaxtyping.jaxtyped("context"):
            for name, shape in named.items():
                shape.check(given.get(name), numbers, f"{where}: {name}")
            if isinstance(result, tuple) and len(result) == len(returned):
                for place, (shape, value) in enumerate(zip(returned, result, strict=True)):
                    shape.check(value, numbers, f"{where}: returned value {place}")
            elif len(returned) == 1:
                returned[0].check(result, numbers, f"{where}: what it returns")
        return result

    return call


def checked_fields(kind: type, shapes: Documented) -> None:
    """Have each object of a data class or named tuple that is made held to these shapes."""
    held.extend([f"{kind.__module__}.{kind.__qualname__}"] * len(shapes.named))

    def check(made: object) -> None:
        with jaxtyping.jaxtyped("context"):
            for name, shape in shapes.named.items():
                shape.check(getattr(made, name, None), {}, f"{kind.__module__}.{kind.__qualname__}: {name}")

    if issubclass(kind, tuple):
        new = kind.__new__

        @functools.wraps(new)
        def held_new(of: type, *args: Any, **kwargs: Any) -> Any:
            made = new(of, *args, **kwargs)
            check(made)
            return made

        kind.__new__ = held_new  # type: ignore[method-assign,assignment]
        return
    init = kind.__init__

    @functools.wraps(init)
    def held_init(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        check(self)

    kind.__init__ = held_init  # type: ignore[method-assign]


def _wrapped(value: object) -> object:
    """A function, or a method of any kind, held to its docstring; None for anything else, and where it states none."""
    if isinstance(value, classmethod | staticmethod):
        inner = _wrapped(value.__func__)
        return inner and type(value)(inner)  # type: ignore[arg-type]
    if isinstance(value, property):
        inner = _wrapped(value.fget)
        return inner and property(inner)  # type: ignore[arg-type]
    if isinstance(value, FunctionType) and (shapes := documented(value.__doc__ or "")).count:
        return checked(value, shapes)
    return None


def _owners(module: ModuleType) -> Iterator[ModuleType | type]:
    yield module
    yield from (value for value in vars(module).values() if isinstance(value, type) and _is_of(value, module))


def _is_of(value: object, module: ModuleType) -> bool:
    return getattr(value, "__module__", module.__name__) == module.__name__


def check_module(module: ModuleType) -> None:
    """Replace a module's functions, methods and data classes by ones that are held to their docstrings."""
    replaced: dict[object, object] = {}
    for owner in list(_owners(module)):
        for name, value in list(vars(owner).items()):
            if _is_of(value, module) and not name.startswith("__") and (wrapped := _wrapped(value)):
                setattr(owner, name, wrapped)
                replaced[value] = wrapped
        shapes = documented(owner.__doc__ or "")
        if isinstance(owner, type) and (is_dataclass(owner) or issubclass(owner, tuple)) and shapes.named:
            checked_fields(owner, shapes)
    for table in [value for value in vars(module).values() if isinstance(value, dict)]:
        for key, value in table.items():
            if isinstance(value, FunctionType) and value in replaced:
                table[key] = replaced[value]


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
