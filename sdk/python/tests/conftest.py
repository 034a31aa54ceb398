"""One cluster for all tests, which the program in the wheel starts."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from haggle_cluster import Cluster, Executor, HaggleError


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def interpreter(cluster: Cluster) -> str:
    """The digest of CPython for the sandbox. Tests that need it are left out where no registry has it; not in CI."""
    try:
        return cluster.runtime()
    except HaggleError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no interpreter: {error}")


@pytest.fixture(scope="session")
def executor(cluster: Cluster, interpreter: str) -> Iterator[Executor]:
    with Executor(cluster, cpus=0.5, timeout=120) as executor:
        yield executor
