"""One cluster for all tests, which the program in the wheel starts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from haggle_cluster import Cluster, Executor


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def executor(cluster: Cluster) -> Iterator[Executor]:
    with Executor(cluster, cpus=0.5, timeout=120) as executor:
        yield executor
