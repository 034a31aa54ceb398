# Python imports this as `sitecustomize` when everything of it is ready, in the run that a snapshot is taken of. What it
# leaves behind is the first thing that looks at the script of a task which starts from there: it brings up to date what
# Python has read of its surroundings only once.
def _leave():
    import gc, site, sys

    def begin(path):
        import _imp, os, posix

        if path == "/haggle-snapshot/none.py":
            raise ImportError
        sys.path_hooks[0] = importer
        for name in ("/haggle-snapshot", "/haggle-snapshot/none.py"):
            sys.path_importer_cache.pop(name, None)
        sys.modules.pop("sitecustomize", None)
        fresh = _imp.create_builtin(posix.__spec__)
        _imp.exec_builtin(fresh)
        for kept in (posix.environ, os.environ._data):
            kept.clear()
            kept.update(fresh.environ)
        if os.environ.get("PYTHONUNBUFFERED"):
            import _io

            for number, name in (1, "stdout"), (2, "stderr"):
                raw, before = _io.FileIO(number, "wb", closefd=False), getattr(sys, name)
                raw.name = f"<{name}>"
                fresh = _io.TextIOWrapper(raw, before.encoding, before.errors, "\n", write_through=True)
                fresh.mode = "w"
                setattr(sys, name, fresh)
                setattr(sys, f"__{name}__", fresh)
        told = os.environ.get("PYTHONPATH")
        sys.path[:] = (told.split(":") if told else []) + [name for name in sys.path if name != "/haggle-snapshot"]
        site.removeduppaths()
        if told:
            site.execsitecustomize()
        return importer(path)

    # Whoever walks through these hooks counts them first, so there must be as many of them afterwards.
    importer, sys.path_hooks[0] = sys.path_hooks[0], begin
    gc.collect()
    # What is there by now is never looked at again by the collector, and its pages stay shared.
    gc.freeze()
    del sys.modules["gc"]


_leave()
