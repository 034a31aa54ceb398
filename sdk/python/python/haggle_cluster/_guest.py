"""Runs in the sandbox: takes calls, makes them one after the other, and writes what each came to.

It is given the function as one input and the calls as another, and writes frames to standard output: the length in four
bytes, then a pickle. What the function itself prints goes to standard error. It is kept small, since every interpreter that
starts reads it.
"""

import sys
from _functools import partial
from io import BytesIO

# All that _pickle wants of functools, which takes longer to import than everything else here together.
sys.modules["functools"] = type(sys)("functools")
sys.modules["functools"].partial = partial

from _pickle import Pickler, loads

del sys.modules["functools"]

FUNCTION = "/script/function"
CALLS = "/script/calls"

# Annotations are not evaluated: what they name need not be here.
ANNOTATIONS = 0x1000000

# Types whose values describe themselves by no more than plain data.
PLAIN = {
    "builtins": {"bytearray", "complex", "range"},
    "collections": {"Counter", "OrderedDict", "deque"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
}

# What those are made by, and the few that are described here.
MAKERS = {**PLAIN, "builtins": {*PLAIN["builtins"], "dict"}, "fractions": {"Fraction"}, "uuid": {"UUID"}}
MAKERS["pathlib"] = {"PurePosixPath"}


class DataPickler(Pickler):
    """Takes plain data, and says what is none."""

    def reducer_override(self, value):
        kind = type(value)
        if kind is type and value.__qualname__ in MAKERS.get(value.__module__, ()):
            return NotImplemented
        module, name = kind.__module__, kind.__qualname__
        if name in PLAIN.get(module, ()):
            return NotImplemented
        if module == "collections" and name == "defaultdict":
            return dict, (), None, None, iter(value.items())
        if module == "fractions" and name == "Fraction":
            return kind, (value.numerator, value.denominator)
        if module == "uuid" and name == "UUID":
            return kind, (str(value),)
        if module == "pathlib" and name in ("PosixPath", "PurePosixPath"):
            return sys.modules["pathlib"].PurePosixPath, value.parts
        raise TypeError(
            f"the function returned something of type {module}.{name}, which is no plain data: return a dict, list, tuple or str"
            " of it (dataclasses.asdict), or take it as it is from code that you trust, with trusted=True"
        )


def main():
    out, sys.stdout = sys.stdout.buffer, sys.stderr
    with open(FUNCTION, "rb") as file:
        function = file.read()
    try:
        with open(CALLS, "rb") as file:
            calls = file.read()
    except FileNotFoundError:
        calls = sys.stdin.buffer.read()
    calls, trusted = loads(calls)
    pieces = loads(function)["pieces"]
    warned = []
    _hear_warnings(warned)
    made = None
    for arguments in calls:
        warned.clear()
        is_out_of_memory = False
        try:
            made = made or [compile_piece(*piece) for piece in pieces]
            args, keywords = loads(arguments)
            # Each call finds its globals as the first one did.
            value = _function(loads(function), made)(*args, **keywords)
            frame = _frame("returned", value, list(warned), trusted)
        except BaseException as error:
            is_out_of_memory = isinstance(error, MemoryError)
            if is_out_of_memory:
                _drop_locals(error)
            frame = _frame("raised", _described(error, pieces), list(warned), False)
        out.write(len(frame).to_bytes(4, "little"))
        out.write(frame)
        out.flush()
        if is_out_of_memory:
            # No success: so the cluster tells how much was wanted, and of how much.
            sys.exit(1)


def _drop_locals(error):
    """Makes room for what is to be said: what filled the memory is mostly a variable of who ran out of it."""
    trace = error.__traceback__.tb_next
    while trace is not None:
        trace.tb_frame.clear()
        trace = trace.tb_next


def compile_piece(source, file, line):
    """A piece of source, which says of itself where it is from."""
    return compile("\n" * (line - 1) + source, file, "exec", ANNOTATIONS, dont_inherit=True)


def _function(shipped, made):
    module = type(sys)(shipped["module"])
    sys.modules[module.__name__] = module
    names = module.__dict__
    for name, origin, attribute in shipped["imports"]:
        __import__(origin)
        found = sys.modules[origin]
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part)
        names[name] = found
    names.update(shipped["data"])
    for piece in made:
        exec(piece, names)
    return names[shipped["entry"]]


def _frame(kind, value, warned, trusted):
    content = BytesIO()
    (Pickler if trusted else DataPickler)(content, 4).dump((kind, value, warned))
    return content.getvalue()


def _described(error, pieces):
    import linecache
    import traceback

    for source, file, line in pieces:
        known = linecache.cache.get(file)
        lines = [*known[2]] if known else []
        text = ("\n" * (line - 1) + source).splitlines(keepends=True)
        lines += ["\n"] * (len(text) - len(lines))
        lines[line - 1 : len(text)] = text[line - 1 :]
        linecache.cache[file] = (0, None, lines, file)
    # Without the frames of this file, which are nobody's business.
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace))
    kind = type(error)
    try:
        arguments = error.args
        _frame("", arguments, [], False)
    except Exception:
        arguments = (str(error),)
    described = {"module": kind.__module__, "kind": kind.__qualname__, "text": str(error), "traceback": text}
    return {**described, "arguments": arguments}


def _hear_warnings(warned):
    import warnings

    def hear(message):
        warned.append((message.category.__name__, str(message.message), message.filename, message.lineno))

    warnings._showwarnmsg_impl = hear
    warnings.simplefilter("always")


main()
