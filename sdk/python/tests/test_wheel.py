"""The wheel, and that what is in it is for every Python that it says."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SDK = Path(__file__).parents[1]
PACKAGE = sorted((SDK / "python" / "haggle_cluster").glob("*.py"))


def made(folder: Path, *options: str) -> Path:
    native, program = folder / "native.so", folder / "haggle"
    native.write_bytes(b"\0GLIBC_2.4\0GLIBC_2.28\0GLIBC_2.17\0")
    program.write_bytes(b"static")
    words: list[str | Path] = [sys.executable, SDK / "wheel.py", native, program, folder / "wheels", *options]
    return Path(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other C libraries")
def test_its_name_says_which_c_library_its_native_part_asks_for(tmp_path: Path) -> None:
    name = made(tmp_path).name

    assert name.startswith("haggle_cluster-") and "-cp310-abi3-manylinux_2_28_" in name


@pytest.mark.parametrize("options", [(), ("--compressed",)])
def test_it_has_the_program_and_the_types_and_is_always_the_same(tmp_path: Path, options: tuple[str, ...]) -> None:
    wheel = made(tmp_path, *options)
    first = wheel.read_bytes()

    with zipfile.ZipFile(wheel) as archive:
        names, scripts = archive.namelist(), [info for info in archive.infolist() if "/scripts/" in info.filename]
        record = archive.read(next(name for name in names if name.endswith("RECORD"))).decode()

    assert {"haggle_cluster/py.typed", "haggle_cluster/_native.pyi"} < set(names)
    assert [Path(info.filename).name for info in scripts] == ["haggle"] and scripts[0].external_attr >> 16 & 0o111
    assert {line.split(",")[0] for line in record.splitlines()} == set(names)
    assert made(tmp_path, *options).read_bytes() == first


@pytest.mark.parametrize("path", PACKAGE, ids=[path.name for path in PACKAGE])
def test_it_is_written_for_python_3_10(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 10))
