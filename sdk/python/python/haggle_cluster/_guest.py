"""Runs in the sandbox: takes calls, makes them one after the other, and writes what each came to.

Its arguments are the file with the calls, or none when they are on standard input. For each call it writes a frame to
standard output: the length in four bytes, the microseconds that the call took in four more, then a pickle. What the function
itself prints goes to standard error. It is in each sandbox, compiled (`_prepare.py`), and imports nothing that the interpreter does
not have in itself: what is seldom needed is in `_guest_more.py`.
"""

import sys
from marshal import dumps, loads
from time import monotonic

FUNCTION = "/script/function"
MORE = "/script/more.py"

# How much of a result is written here, in pieces.
FEW = 400

# How they begin and end in a pickle.
CONTAINERS = {tuple: (b"(", b"t"), list: (b"](", b"e"), dict: (b"}(", b"u")}

warned = []


class WarningsFinder:
    """Hears what is warned of, from the moment in which somebody imports what does."""

    def find_spec(self, name, path=None, target=None):
        if name != "warnings":
            return None
        sys.meta_path.remove(self)
        from _frozen_importlib import _find_spec

        spec = _find_spec(name, path)
        self.loader, self.create_module = spec.loader, spec.loader.create_module
        spec.loader = self
        return spec

    def exec_module(self, module):
        self.loader.exec_module(module)
        module._showwarnmsg_impl = lambda message: warned.append(
            (message.category.__name__, str(message.message), message.filename, message.lineno)
        )
        module.simplefilter("always")


def main():
    out, sys.stdout = sys.stdout.buffer, sys.stderr
    with open(FUNCTION, "rb") as file:
        function = file.read()
    with open(sys.argv[1], "rb") if sys.argv[1:] else sys.stdin.buffer as file:
        trusted, longest, most, calls = loads(file.read())
    sys.meta_path.insert(0, WarningsFinder())
    made = None
    began = before = monotonic()
    size = 0
    for arguments in calls:
        if size and longest is not None and (before - began > longest or size > most):
            # There is more than was thought. Those that are left are made elsewhere.
            break
        warned.clear()
        is_out_of_memory = False
        if made is None or shipped["data"]:
            # Each call finds its globals as the first one did.
            shipped = loads(function)
        try:
            if made is None:
                made = [("\n" * (line - 1) + source, file) for source, file, line in shipped["pieces"]]
                if len(calls) > 1:
                    # Its first use makes a hundred types, which takes longer than all that is compiled for one call.
                    made = [(compile(source, file, "exec"), None) for source, file in made]
            args, keywords = unpacked(loads(arguments))
            called = made_function(shipped, made)
            if not size:
                # To compile it, and to import what it needs, is no part of what a call takes.
                before = monotonic()
            value = called(*args, **keywords)
            written = [b"\x80\x04\x8c\x08returned"]
            if trusted or warned or not few(value, written, set()):
                frame = more()["frame"]("returned", value, warned, trusted)
            else:
                frame = b"".join((*written, b"]\x87."))
        except BaseException as error:
            is_out_of_memory = isinstance(error, MemoryError)
            # What filled the memory is mostly a variable of who ran out of it.
            trace = error.__traceback__.tb_next if is_out_of_memory else None
            while trace is not None:
                trace.tb_frame.clear()
                trace = trace.tb_next
            frame = more()["raised"](error, shipped["pieces"], warned)
        now = monotonic()
        out.write(len(frame).to_bytes(4, "little") + min(int((now - before) * 1e6), 0xFFFFFFFF).to_bytes(4, "little"))
        before = now
        size += len(frame)
        out.write(frame)
        out.flush()
        if is_out_of_memory:
            # No success: so the cluster tells how much was wanted, and of how much.
            leave(1)
    leave(0)


def leave(code):
    """Ends at once. To free all that there is would take an interpreter longer than a short call does."""
    if "atexit" in sys.modules:
        sys.modules["atexit"]._run_exitfuncs()
    sys.stderr.flush()
    sys.modules["posix"]._exit(code)


def made_function(shipped, made):
    module = type(sys)(shipped["module"])
    sys.modules[module.__name__] = module
    names = module.__dict__
    for name, origin, attribute in shipped["imports"]:
        __import__(origin)
        found = sys.modules[origin]
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part)
        names[name] = found
    for name, value in shipped["data"].items():
        names[name] = unpacked(value)
    for piece, file in made:
        if file is None:
            exec(piece, names)
            continue
        known = set(names)
        exec(piece, names)
        for name in names.keys() - known:
            locate(names[name], file)
    return names[shipped["entry"]]


def locate(value, file):
    """Has what was made of text say in tracebacks which file that is from."""
    if type(value) is type(locate):
        value.__code__ = located(value.__code__, file)
    elif isinstance(value, type):
        for inner in list(vars(value).values()):
            locate(inner, file)


def located(code, file):
    if type(code) is not type(locate.__code__) or code.co_filename != "<string>":
        return code
    return code.replace(co_filename=file, co_consts=tuple([located(inner, file) for inner in code.co_consts]))


def unpacked(content):
    """Plain data, which is here as it is, or a pickle of it."""
    return content[0] if type(content) is tuple else more()["loads"](content)


def more(names={}):
    if not names:
        with open(MORE) as file:
            exec(compile(file.read(), MORE, "exec"), names)
    return names


def few(value, written, known):
    """Writes a few plain values, each container there once. Says whether that was all of it."""
    kind = type(value)
    if kind is str:
        text = value.encode("utf-8", "surrogatepass")
        written += (b"X", len(text).to_bytes(4, "little"), text)
    elif kind is int:
        size = value.bit_length() // 8 + 1
        written += (b"\x8b", size.to_bytes(4, "little"), value.to_bytes(size, "little", signed=True))
    elif value is None or kind is bool:
        written.append(b"N" if value is None else b"\x88" if value else b"\x89")
    elif kind is float:
        written += (b"G", dumps(value, 2)[:0:-1])
    elif kind is bytes:
        written += (b"B", len(value).to_bytes(4, "little"), value)
    elif kind in CONTAINERS and id(value) not in known:
        begin, end = CONTAINERS[kind]
        known.add(id(value))
        written.append(begin)
        for item in value:
            if not few(item, written, known) or (kind is dict and not few(value[item], written, known)):
                return False
        written.append(end)
    else:
        return False
    return len(written) < FEW


main()
