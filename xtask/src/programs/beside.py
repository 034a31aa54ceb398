"""Compiles a program by wasmtime as its package brings it, runs it three times, and prints the CPU time of both in seconds."""

import json
import os
import resource
import sys

import wasmtime

module, stdin, folders, *rest = sys.argv[1:]
folders, args = rest[: 2 * int(folders)], rest[2 * int(folders) :]


def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


config = wasmtime.Config()
config.wasm_exceptions = True
engine = wasmtime.Engine(config)
begin = spent()
compiled = wasmtime.Module.from_file(engine, module)
compiling = spent() - begin
linker = wasmtime.Linker(engine)
linker.define_wasi()


def run():
    wasi = wasmtime.WasiConfig()
    wasi.argv = [os.path.basename(module), *args]
    for host, guest in zip(folders[::2], folders[1::2]):
        wasi.preopen_dir(host, guest)
    if stdin:
        wasi.stdin_file = stdin
    wasi.stdout_file = os.devnull
    store = wasmtime.Store(engine)
    store.set_wasi(wasi)
    begin = spent()
    try:
        linker.instantiate(store, compiled).exports(store)["_start"](store)
    except wasmtime.ExitTrap as ended:
        if ended.code:
            sys.exit(f"it exited with code {ended.code}")
    return spent() - begin


print(json.dumps({"compile": compiling, "run": sorted(run() for _ in range(3))[1]}))
