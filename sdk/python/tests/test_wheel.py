"""The wheel, and that what is in it is for every Python that it says."""

from __future__ import annotations

import ast
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

SDK = Path(__file__).parents[1]
PACKAGE = sorted((SDK / "python" / "haggle_cluster").glob("*.py"))


@pytest.fixture
def wheel() -> Iterator[zipfile.ZipFile]:
    """The one that is tested here."""
    path = os.environ.get("HAGGLE_TEST_WHEEL")
    if path is None:
        pytest.skip("`cargo xtask python` makes one")
    with zipfile.ZipFile(path) as archive:
        yield archive


def described(wheel: zipfile.ZipFile, name: str) -> Message:
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return Parser().parsestr(wheel.read(path).decode())


def test_it_is_for_every_cpython_from_3_10_on_and_needs_no_other_package(wheel: zipfile.ZipFile) -> None:
    metadata, tags = described(wheel, "METADATA"), described(wheel, "WHEEL")

    assert (metadata["Name"], metadata["Requires-Python"], metadata["Requires-Dist"]) == ("haggle-cluster", ">=3.10", None)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert tags["Tag"].startswith("cp310-abi3-") and tags["Root-Is-Purelib"] == "false"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other C libraries")
def test_its_name_says_which_c_library_its_native_part_asks_for(wheel: zipfile.ZipFile) -> None:
    native = wheel.read("haggle_cluster/_native.abi3.so")
    asked = max(int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", native))

    told = re.search(r"-manylinux_2_(\d+)_", str(wheel.filename))

    assert told is not None and int(told[1]) >= asked


def test_it_has_the_program_the_types_and_all_of_the_package_and_nothing_else_of_ours(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    programs = [info for info in wheel.infolist() if ".data/scripts/" in info.filename]
    ours = {Path(name).name for name in names if name.startswith("haggle_cluster/")}

    assert [Path(info.filename).stem for info in programs] == ["haggle"]
    assert os.name == "nt" or programs[0].external_attr >> 16 & 0o111
    assert {"py.typed", "_native.pyi", *(path.name for path in PACKAGE)} == {name for name in ours if "abi3" not in name and ".pyd" not in name}


def test_nothing_in_it_says_when_it_was_made(wheel: zipfile.ZipFile) -> None:
    assert len({info.date_time for info in wheel.infolist()}) == 1
    assert wheel.infolist()[0].date_time[0] < 2000


@pytest.mark.parametrize("path", PACKAGE, ids=[path.name for path in PACKAGE])
def test_it_is_written_for_python_3_10(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 10))
