"""Assembles the wheel of haggle-cluster from what cargo built: the package, its native part, and the haggle program.

    python wheel.py NATIVE PROGRAM FOLDER [--compressed]

NATIVE is the library of the crate haggle-python, PROGRAM the haggle program, and FOLDER where the wheel goes. Its path is
printed. The same files make the same wheel. Needs the standard library alone, and of CPython 3.11 or later.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = "haggle_cluster"


def main(native: Path, program: Path, folder: Path, compressed: bool) -> Path:
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    name = f"{PACKAGE}-{project['version']}"
    # The interface that every CPython from 3.10 on keeps.
    tag = f"cp310-abi3-{platform_of(native, program)}"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{tag}.whl"
    draft = wheel.with_suffix(".draft")
    record = []
    # It is mostly unpacked where it was made, and then not worth the time.
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(draft, "w", method) as archive:
        for path, content, mode in contents(native, program, name, project, tag):
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, content, method)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(content)}\n")
        record.append(f"{name}.dist-info/RECORD,,\n")
        archive.writestr(zipfile.ZipInfo(f"{name}.dist-info/RECORD"), "".join(record), method)
    os.replace(draft, wheel)
    return wheel


def platform_of(*files: Path) -> str:
    """Where these files run. On Linux that is any system whose C library is at least as new as what they ask for."""
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    if not platform.startswith("linux_"):
        return platform
    asked = {int(version) for file in files for version in re.findall(rb"GLIBC_2\.(\d+)", file.read_bytes())}
    return platform.replace("linux", f"manylinux_2_{max(asked, default=5)}", 1)


def contents(
    native: Path, program: Path, name: str, project: dict[str, str], tag: str
) -> Iterator[tuple[str, bytes, int]]:
    """Paths, what is there, and who may do what with it."""
    for path in sorted((HERE / "python" / PACKAGE).iterdir()):
        if path.suffix in (".py", ".pyi", ".typed"):
            yield f"{PACKAGE}/{path.name}", path.read_bytes(), 0o644
    suffix = ".pyd" if os.name == "nt" else ".abi3.so"
    yield f"{PACKAGE}/_native{suffix}", native.read_bytes(), 0o755
    yield f"{name}.data/scripts/{program.name}", program.read_bytes(), 0o755
    metadata = {
        "Metadata-Version": "2.4",
        "Name": project["name"],
        "Version": project["version"],
        "Summary": project["description"],
        "Requires-Python": project["requires-python"],
        "License-Expression": project["license"],
    }
    text = "".join(f"{key}: {value}\n" for key, value in metadata.items())
    text += "".join(f"Classifier: {classifier}\n" for classifier in project["classifiers"])
    yield f"{name}.dist-info/METADATA", text.encode(), 0o644
    wheel = f"Wheel-Version: 1.0\nGenerator: haggle\nRoot-Is-Purelib: false\nTag: {tag}\n"
    yield f"{name}.dist-info/WHEEL", wheel.encode(), 0o644


if __name__ == "__main__":
    paths = [Path(word) for word in sys.argv[1:] if word != "--compressed"]
    print(main(paths[0], paths[1], paths[2], compressed="--compressed" in sys.argv))
