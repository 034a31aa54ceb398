"""Modules and inputs that the master fetches from where they are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from haggle_cluster import Cluster, HaggleError, Offers, Pulled, Refused, Task, Update

from test_cluster import WASM


class Web(ThreadingHTTPServer):
    """A web server with a folder of files, which counts what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))

    def at(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Web)
        self.server.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    for name in ("hello.wasm", "wordcount.wasm"):
        (folder / name).write_bytes((WASM / name).read_bytes())
    (folder / "words.txt").write_text("to be or not to be")
    with Web(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def fetching(web: Web, cluster: Cluster) -> Iterator[Cluster]:
    """A cluster whose master may fetch from there, as that of the other tests, which is there already, may not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAGGLE_ARTIFACT_HOSTS", f"127.0.0.1:{web.server_port}")
        with Cluster() as cluster:
            yield cluster


def test_a_module_is_run_from_where_it_is_and_fetched_once_for_all(fetching: Cluster, web: Web) -> None:
    task = Task(web.at("hello.wasm"), mem="16MiB")

    outcomes = list(fetching.map(lambda name: task.with_args([name]), ["Ada", "Grace", "Alan"]))

    assert [outcome.name for outcome in outcomes] == ["hello"] * 3
    assert [outcome.stdout for outcome in outcomes] == ["hello, Ada\n", "hello, Grace\n", "hello, Alan\n"]
    assert web.asked.count("/hello.wasm") == 1


def test_what_was_fetched_has_a_digest_by_which_it_runs(fetching: Cluster, web: Web) -> None:
    pulled = fetching.pull(web.at("hello.wasm"))

    assert isinstance(pulled, Pulled) and pulled.digest.startswith("sha256:")
    assert pulled.size == (WASM / "hello.wasm").stat().st_size and pulled.pinned == web.at("hello.wasm")
    assert fetching.run(Task(pulled.digest, ["digest"], mem="16MiB")).stdout == "hello, digest\n"


def test_an_input_is_fetched_too_and_may_be_anything(fetching: Cluster, web: Web) -> None:
    task = Task(web.at("wordcount.wasm"), ["/words.txt"], mem="16MiB", inputs={"/words.txt": web.at("words.txt")})

    assert "be" in fetching.run(task).stdout
    with pytest.raises(Refused, match="words.txt"):
        fetching.pull(web.at("words.txt"))
    assert fetching.pull(web.at("words.txt"), module=False).size == len("to be or not to be")


def test_a_framework_of_ones_own_launches_it_as_well(fetching: Cluster, web: Web) -> None:
    task, states = Task(web.at("hello.wasm"), mem="16MiB"), []
    with fetching.framework("fetches") as framework:
        framework.demand((task, 1))
        for event in framework:
            if isinstance(event, Offers):
                framework.accept(event.offers[:1], [task])
            elif isinstance(event, Update):
                framework.acknowledge(event)
                if event.status.is_terminal:
                    states.append(event.status.state)
                    break

    assert states == ["FINISHED"]


def test_what_cannot_be_fetched_is_said_before_anything_is_launched(fetching: Cluster, cluster: Cluster, web: Web) -> None:
    with pytest.raises(HaggleError, match="missing.wasm"):
        fetching.submit(Task(web.at("missing.wasm")))
    with pytest.raises(Refused, match="wanted is oci://registry/name:tag"):
        fetching.submit(Task("ftp://h.example/app.wasm"))
    with pytest.raises(HaggleError, match="--artifact-hosts"):
        cluster.submit(Task(web.at("hello.wasm")))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("oci://registry.example:5000/team/app:1.0", "app"),
        ("oci://registry.example/app@sha256:00", "app"),
        ("s3://bucket/jobs/nightly.wasm", "nightly"),
        ("https://host.example/a/app.wasm?version=1", "app"),
        ("https://host.example/", "task"),
    ],
)
def test_a_task_is_called_by_the_last_part_of_its_source(source: str, name: str) -> None:
    assert Task(source).label == name
    assert Task(source, name="mine").label == "mine"
