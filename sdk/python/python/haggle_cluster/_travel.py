"""Makes of a function what another Python can run: its source, and what it names.

Bytecode would need the same minor version on both sides; source does not. What a function names comes along if it is plain
data, a module of the standard library, or a function or class that has source itself. Everything else is refused here, with
what to do instead, before anything is sent.
"""

from __future__ import annotations

import ast
import builtins
import dis
import functools
import importlib
import inspect
import io
import marshal
import pathlib
import pickle
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .errors import CannotTravel

#: Pickles of this protocol are read by every Python since 3.4, and so is what :mod:`marshal` writes in this version.
PROTOCOL = 4
MARSHAL = 4

#: Above so many items in a container, or so many containers, a pickle is read faster.
_LITTLE = 1000

_SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes})

_SELF = "this package and what is built on it stay here: a function in a sandbox reaches no cluster"


#: Source, the file that it is from, and its first line there.
Piece = tuple[str, str, int]


@dataclass(frozen=True)
class Shipped:
    """A function on its way."""

    #: All that is needed to make it.
    content: bytes
    name: str
    #: What a ``functools.partial`` gives it before all others.
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    #: The files that its source is from.
    files: frozenset[str]


def ship(function: Callable[..., Any]) -> Shipped:
    """A function as it travels. Raises :class:`CannotTravel`, which says what to do instead."""
    args: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}
    while isinstance(function, functools.partial):
        args, keywords = (*function.args, *args), {**function.keywords, **keywords}
        function = function.func
    name = getattr(function, "__qualname__", repr(function))
    packer = _Packer(name)
    packer.entry(function)
    home = getattr(function, "__module__", None) or "__main__"
    content = {
        "pieces": packer.pieces,
        "imports": packer.imports,
        "data": {name: packed(value, name) for name, value in packer.data.items()},
        "entry": packer.entry_name,
        # That of the function, so that what it makes of its own classes can be found there again.
        "module": "__main__" if _is_standard(home) else home,
    }
    files = frozenset(file for _, file, _ in packer.pieces)
    return Shipped(marshal.dumps(content, MARSHAL), name, args, keywords, files)


def packed(value: Any, what: str) -> tuple[Any] | bytes:
    """The value as :mod:`marshal` takes it: a little plain data as it is, else a pickle of it."""
    try:
        is_little = _is_little(value, set())
    except RecursionError:
        is_little = False
    return (value,) if is_little else pack(value, what)


def _is_little(value: Any, known: set[int]) -> bool:
    """Whether it is of the types that every Python reads at once, not much, and nothing of it there twice."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind not in (tuple, list, dict) or id(value) in known or len(known) > _LITTLE:
        return False
    known.add(id(value))
    items = [*value, *value.values()] if kind is dict else value
    return len(items) <= _LITTLE and all(_is_little(item, known) for item in items)


def pack(value: Any, what: str) -> bytes:
    """A pickle of what every Python has. Raises :class:`CannotTravel`."""
    content = io.BytesIO()
    try:
        _Pickler(content, what).dump(value)
    except CannotTravel:
        raise
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise CannotTravel(f"{what} cannot travel: {error}; give plain data that it is made of") from error
    return content.getvalue()


class _Pickler(pickle.Pickler):
    """Refuses what only this machine has."""

    def __init__(self, content: io.BytesIO, what: str) -> None:
        super().__init__(content, PROTOCOL)
        self._what = what

    def reducer_override(self, value: Any) -> Any:
        named = value if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)) else type(value)
        home = value.__name__ if isinstance(value, types.ModuleType) else named.__module__ or "builtins"
        if not _is_standard(home):
            raise CannotTravel(
                f"{self._what} has something of {home}.{named.__qualname__}, which the sandbox does not have: "
                "give plain data (a dict, list, tuple, str, number) in its place"
            )
        if isinstance(value, types.ModuleType):
            return importlib.import_module, (value.__name__,)
        if isinstance(value, type) and value.__module__.startswith("pathlib."):
            # From Python 3.13 on they tell a module of their own, which others do not have.
            return getattr, (pathlib, value.__name__)
        return NotImplemented


def _is_standard(module: str) -> bool:
    # `__main__` and the like are modules of nobody else.
    return module.partition(".")[0] in sys.stdlib_module_names and module != "__main__"


class _Packer:
    """Collects what a function needs."""

    def __init__(self, function: str) -> None:
        self.function = function
        self.pieces: list[Piece] = []
        self.imports: list[tuple[str, str, str | None]] = []
        self.data: dict[str, Any] = {}
        self.entry_name = ""
        self._sources: list[str] = []
        # What each name stands for, so that none stands for two things.
        self._names: dict[str, Any] = {}

    def entry(self, function: Any) -> None:
        """The function itself."""
        if isinstance(function, types.MethodType):
            owner = type(function.__self__).__name__
            raise self._refuse(
                f"is bound to a living {owner}; submit a function that takes what it needs of that as arguments"
            )
        if isinstance(function, types.FunctionType) and not _is_standard(function.__module__ or ""):
            self.entry_name = function.__name__
            if function.__name__ == "<lambda>":
                self.entry_name = "_haggle_lambda"
            self._names[self.entry_name] = function
            self._function(self.entry_name, function)
            return
        self.entry_name = "_haggle_function"
        if not self._importable(self.entry_name, function):
            kind = type(function).__name__
            raise self._refuse(f"is a {kind} and has no source; submit a function that is written with def")

    def _refuse(self, why: str, who: str | None = None) -> CannotTravel:
        return CannotTravel(f"{who or self.function} cannot travel: it {why}")

    def _function(self, name: str, function: types.FunctionType) -> None:
        code, who = function.__code__, function.__qualname__
        if code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE):
            raise self._refuse("is async, and a sandbox has no event loop; submit a function that is written with def alone", who)
        if code.co_flags & inspect.CO_GENERATOR and name == self.entry_name:
            raise self._refuse("is a generator; return a list of what it yields", who)
        lines = _lines(code, lambda: self._refuse(_NO_SOURCE, who))
        self._sources.append(lines[0])
        is_lambda = function.__name__ == "<lambda>"
        piece = self._lambda(name, function, *lines) if is_lambda else self._def(name, function, *lines)
        for needed, value in self._needed(function):
            self._name(needed, value, who)
        # Behind what it needs: defaults are computed where it is made.
        self.pieces.append(piece)

    def _def(self, name: str, function: types.FunctionType, source: str, file: str, line: int) -> Piece:
        who = function.__qualname__
        found = _parsed(source)
        if found is None or not isinstance(found.body[0], (ast.FunctionDef, ast.AsyncFunctionDef)):
            raise self._refuse(_NO_SOURCE, who)
        node = found.body[0]
        # What decorates it is no part of it: whoever submits a decorated function submits its wrapper.
        text = "".join(source.splitlines(keepends=True)[node.lineno - 1 :])
        if node.name != name:
            text += f"\n{name} = {node.name}\n"
        try:
            compile(text, file, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise self._refuse(f"cannot stand alone: {error.msg}; pass what it changes, and return it", who) from error
        defaults = [*node.args.defaults, *(default for default in node.args.kw_defaults if default is not None)]
        for needed in _names_in(defaults):
            if needed in function.__globals__:
                self._name(needed, function.__globals__[needed], who)
        return text, file, line + node.lineno - 1

    def _lambda(self, name: str, function: types.FunctionType, source: str, file: str, line: int) -> Piece:
        text = _lambda_text(source, function.__code__)
        if text is None:
            raise self._refuse("is a lambda that cannot be told from others in its line; write it with def, or alone in a line")
        return f"{name} = (\n{text}\n)\n", file, max(line - 1, 1)

    def _needed(self, function: types.FunctionType) -> Iterator[tuple[str, Any]]:
        """What it names outside of itself, and what that is."""
        who = function.__qualname__
        for free, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            if free == "__class__":
                raise self._refuse("is a method that calls super(); submit a function", who)
            try:
                yield free, cell.cell_contents
            except ValueError:
                raise self._refuse(f"uses {free}, which has no value yet", who) from None
        for code in _codes(function.__code__):
            for step in dis.get_instructions(code):
                if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                    raise self._refuse(f"changes the global {step.argval}, which would stay in the sandbox; return it", who)
                if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval in function.__globals__:
                    yield step.argval, function.__globals__[step.argval]

    def _name(self, name: str, value: Any, who: str) -> None:
        if name in self._names:
            if self._names[name] is not value:
                raise self._refuse(f"needs two things that are called {name}; give one another name", who)
            return
        if getattr(builtins, name, self) is value:
            return
        self._names[name] = value
        if isinstance(value, types.ModuleType):
            self._module(name, value, who)
        elif self._importable(name, value):
            pass
        elif isinstance(value, types.FunctionType):
            self._function(name, value)
        elif isinstance(value, type):
            self._class(name, value, who)
        else:
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            try:
                pack(value, name)
            except CannotTravel as error:
                raise self._refuse(
                    f"uses {name}, a living {kind} that stays here; make it inside the function, or pass plain data", who
                ) from error
            self.data[name] = value

    def _module(self, name: str, module: types.ModuleType, who: str) -> None:
        if not _is_standard(module.__name__):
            more = _SELF if module.__name__.partition(".")[0] == __package__ else (
                "a sandbox has Python's standard library alone; compute with that, or pass plain data"
            )
            raise self._refuse(f"uses the module {module.__name__}: {more}", who)
        self.imports.append((name, module.__name__, None))
        # `import xml.etree` binds the name xml alone.
        inner = [other for other in sys.modules if other.startswith(module.__name__ + ".")]
        sources = "\n".join(self._sources)
        for other in inner:
            if name + other.removeprefix(module.__name__) in sources:
                self.imports.append((f"_haggle_{len(self.imports)}", other, None))

    def _importable(self, name: str, value: Any) -> bool:
        """Whether it is something of the standard library, which every Python has under this name."""
        # A method of a built-in class knows its class, and no module.
        home = getattr(value, "__objclass__", value)
        module, qualified = getattr(home, "__module__", None), getattr(value, "__qualname__", None)
        if not isinstance(module, str) or not isinstance(qualified, str) or not _is_standard(module):
            return False
        found: Any = sys.modules.get(module)
        for part in qualified.split("."):
            found = getattr(found, part, None)
        if found is not value:
            return False
        self.imports.append((name, module, qualified))
        return True

    def _class(self, name: str, kind: type, who: str) -> None:
        try:
            lines, line = inspect.getsourcelines(kind)
        except (OSError, TypeError):
            raise self._refuse(f"uses the class {kind.__qualname__}, which has no source; pass plain data", who) from None
        source, file = textwrap.dedent("".join(lines)), inspect.getsourcefile(kind) or "<class>"
        found = _parsed(source)
        if found is None or "<locals>" in kind.__qualname__ and "super()" in source:
            raise self._refuse(f"uses the class {kind.__qualname__}, whose source cannot be told; pass plain data", who)
        self._sources.append(source)
        around = getattr(sys.modules.get(kind.__module__), "__dict__", {})
        for needed in _names_in([found]):
            if needed in around and around[needed] is not kind:
                self._name(needed, around[needed], kind.__qualname__)
        self.pieces.append((source, file, max(line, 1)))
        if kind.__name__ != name:
            self.pieces.append((f"{name} = {kind.__name__}\n", file, 1))


_NO_SOURCE = "has no source that can be read; write it into a file or a notebook's cell"


def _lines(code: types.CodeType, refusal: Callable[[], CannotTravel]) -> tuple[str, str, int]:
    try:
        source = inspect.getsource(code)
    except (OSError, TypeError, IndexError, SyntaxError):
        raise refusal() from None
    return textwrap.dedent(source), code.co_filename, code.co_firstlineno


def _parsed(source: str) -> ast.Module | None:
    try:
        found = ast.parse(source)
    except SyntaxError:
        return None
    return found if found.body else None


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _names_in(nodes: list[Any]) -> Iterator[str]:
    for node in nodes:
        for found in ast.walk(node):
            if isinstance(found, ast.Name) and isinstance(found.ctx, ast.Load):
                yield found.id


def _lambda_text(source: str, code: types.CodeType) -> str | None:
    """The text of the lambda in these lines that has this code; of the only one, if there is one."""
    tree, text = None, source
    # The lines may be a part of a call over several lines.
    for text in (source, f"({source.strip().rstrip(',')})", f"({source.strip().rstrip(',)')})", f"f({source.strip()}"):
        tree = _parsed(text)
        if tree is not None:
            break
    if tree is None:
        return None
    lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    texts = [found for node in lambdas if (found := ast.get_source_segment(text, node)) is not None]
    if len(texts) == 1:
        return texts[0]
    alike = [found for found in texts if _has_code(found, code)]
    return alike[0] if alike else None


def _has_code(text: str, code: types.CodeType) -> bool:
    try:
        made = compile(f"(\n{text}\n)", "", "eval", dont_inherit=True).co_consts
    except SyntaxError:
        return False
    parts = [(one.co_code, one.co_names, one.co_varnames, one.co_consts) for one in made if isinstance(one, types.CodeType)]
    return (code.co_code, code.co_names, code.co_varnames, code.co_consts) in parts
