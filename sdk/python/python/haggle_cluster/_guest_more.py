"""What the guest seldom needs: pickles, and what is told of an exception. Run by `_guest.py`, where that needs it."""

import sys
from _functools import partial
from io import BytesIO

# All that _pickle wants of functools, which takes longer to import than everything else here together.
is_first = sys.modules.setdefault("functools", stand_in := type(sys)("functools")) is stand_in
stand_in.partial = partial

from _pickle import Pickler, loads

if is_first:
    del sys.modules["functools"]

# The name under which this was compiled.
__file__ = "/script/more.py"

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


def frame(kind, value, warned, trusted):
    content = BytesIO()
    (Pickler if trusted else DataPickler)(content, 4).dump((kind, value, warned))
    return content.getvalue()


def raised(error, pieces, warned):
    """The frame of an exception, with the lines that it went through."""
    import linecache
    import traceback

    for source, file, line in pieces:
        known = linecache.cache.get(file)
        lines = [*known[2]] if known else []
        text = ("\n" * (line - 1) + source).splitlines(keepends=True)
        lines += ["\n"] * (len(text) - len(lines))
        lines[line - 1 : len(text)] = text[line - 1 :]
        linecache.cache[file] = (0, None, lines, file)
    # Without the frames of ours, which are nobody's business.
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in (sys.argv[0], __file__):
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace))
    kind = type(error)
    try:
        said = str(error)
    except Exception as fault:
        said = f"cannot be told, by a {type(fault).__name__} of its own"
    try:
        arguments = error.args
        frame("", arguments, [], False)
    except Exception:
        arguments = (said,)
    told = {"module": kind.__module__, "kind": kind.__qualname__, "text": said, "traceback": text}
    return frame("raised", {**told, "arguments": arguments}, warned, False)
