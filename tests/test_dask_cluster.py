"""Tasks on a Dask cluster: which cluster is accepted, and the errors."""

import logging
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import yaml

from depthlab.config.errors import UserError
from depthlab.dask_cluster import connect
from depthlab.folders import CHECKOUT
from depthlab.parallel import Stop, Workers, execute, local
from tests.test_parallel import square, wait_a_moment


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A cluster in this process, with one worker of one thread."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as running:
        yield running


OPEN = (
    " is on another machine and not encrypted, so anyone on the network can run code on it: use tls://HOST:8786 and"
    " certificates, as docs/guides/cluster.md shows"
)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (None, "backend=dask needs the address of a scheduler: scheduler=tcp://127.0.0.1:8786"),
        pytest.param(
            "tcp://127.0.0.1:9", "no Dask scheduler answers at tcp://127.0.0.1:9: ", marks=pytest.mark.slow
        ),  # waits for ten seconds
        *((address, f"scheduler={address}{OPEN}") for address in ("tcp://10.1.2.3:8786", "10.1.2.3:8786", "ws://m:1")),
    ],
)
def test_a_scheduler_that_cannot_be_used(address: str | None, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        connect(address, {})
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


@pytest.mark.parametrize("where", ["address", "worker", "nanny"])
def test_a_cluster_that_is_open_to_the_network_is_refused(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """A stand-in, so that no test opens a port to the network."""
    here, there = "tcp://127.0.0.1:1", "tcp://192.168.7.5:1"
    worker = {there if where == "worker" else here: {"nanny": there if where == "nanny" else None}}
    info = {"address": there if where == "address" else here, "workers": worker}
    client = SimpleNamespace(
        scheduler_info=lambda **_: info,
        nthreads=lambda: {here: 1},
        run=lambda *_: {here: "machine"},
        close=lambda: None,
    )
    monkeypatch.setattr("distributed.Client", lambda *_, **__: client)
    with pytest.raises(UserError, match=r"^the Dask process at tcp://192\.168\.7\.5:1 is open to the network"):
        connect("tcp://localhost:8786", {})


def documented(first: str, end: str = "\n\n") -> str:
    """A block of the documentation, without its indentation."""
    text = (CHECKOUT / "docs" / "guides" / "cluster.md").read_text()
    return textwrap.dedent("    " + text[text.index(first) :].partition(end)[0])


@pytest.mark.slow
def test_a_cluster_with_the_documented_certificate(tmp_path: Path) -> None:
    """Tasks run with a certificate that is made as documented; without it nothing is answered."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    folder = tmp_path / "certificate"
    script = documented("mkdir -m 700 FOLDER").replace("FOLDER", str(folder)).replace("DNS:HOST", "DNS:localhost")
    subprocess.run(["sh", "-c", script], check=True, capture_output=True)
    assert {file.name for file in folder.iterdir()} == {"key.pem", "cert.pem", "both.pem"}
    assert all(file.stat().st_mode & 0o077 == 0 for file in (folder / "key.pem", folder / "both.pem", folder))
    tls = yaml.safe_load(documented("distributed:\n      comm:").replace("FOLDER", str(folder)))
    with (
        dask.config.set(dask.config.merge(dask.config.config, tls)),
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, protocol="tls://", host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
    ):  # fmt: skip
        address = cluster.scheduler_address
        assert address.startswith("tls://")
        workers = connect(address, {})
        assert [one.sentence for one in execute(range(2), square, workers, Stop(""))] == ["0 with 1", "1 with 1"]
        workers.client.close()
        sentence = r"^scheduler=\S+ needs tls:// and certificates, as docs/guides/cluster\.md shows: "
        with pytest.raises(UserError, match=sentence):
            connect(address.replace("tls://", "tcp://"), {})
        unset = {"distributed.comm.tls.client.cert": None, "distributed.comm.tls.ca-file": None}
        with dask.config.set(unset), pytest.raises(UserError, match=sentence):
            connect(address, {})
        with pytest.raises(OSError, match="TLS certificate does not match"):
            Client(address, security=Security.temporary(), timeout=1)  # another certificate
        with (
            dask.config.set({"distributed.comm.require-encryption": None}),
            pytest.raises(OSError, match=r"Timed out|in <TCP"),
        ):
            Client(address.replace("tls://", "tcp://"), timeout=1)


@pytest.mark.slow
def test_the_documented_cluster_of_one_machine_listens_only_there() -> None:
    commands = documented("dask scheduler --host 127.0.0.1", "    depthlab study").splitlines()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ports = {"127.0.0.1:8786": address, "127.0.0.1:8787": "127.0.0.1:0", "--nworkers 2": "--nworkers 1"}
    started = []
    for command in commands:
        for before, after in ports.items():
            command = command.replace(before, after)
        if command.startswith("dask scheduler"):
            command += f" --port {address.rpartition(':')[2]}"
        started.append(subprocess.Popen(
            [sys.executable, "-m", "dask", *command.split()[1:]], cwd=CHECKOUT, stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        ))  # fmt: skip
    try:
        client = connect_until(f"tcp://{address}")
        family = [one for process in started for one in (psutil.Process(process.pid), *children(process.pid))]
        ports_of = [port for one in family for port in one.net_connections() if port.status == psutil.CONN_LISTEN]
        assert len(ports_of) == 5  # scheduler and worker, a dashboard of each, and the worker's nanny
        assert {port.laddr.ip for port in ports_of} == {"127.0.0.1"}
        client.close()
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(60)


def children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def connect_until(address: str, seconds: float = 120.0) -> Any:
    """The client of a cluster that is starting."""
    end = time.monotonic() + seconds
    while True:
        try:
            return connect(address, {}).client
        except UserError:
            assert time.monotonic() < end
            time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "sentence"), [(0, "has no workers: start some"), (1, "must have one thread: start it with")]
)
def test_dask_workers_that_cannot_be_used(workers: int, sentence: str) -> None:
    from distributed import LocalCluster

    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        pytest.raises(UserError, match=sentence),
    ):
        connect(cluster.scheduler_address, {})


@pytest.mark.slow
def test_dask_has_to_find_the_program(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("importlib.import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
        with pytest.raises(UserError, match=r"^Dask cannot import the program: start `PYTHONPATH=src dask"):
            connect(cluster.scheduler_address, {})
    connect(cluster.scheduler_address, {}).client.close()


@pytest.mark.slow
def test_dask_workers_elsewhere_need_a_server(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distributed.Client.run", lambda *_: {"a": "another machine"})
    with pytest.raises(UserError, match=r"on other machines cannot reach tracking\.uri=sqlite:///a\.db: use a server"):
        connect(cluster.scheduler_address, {"tracking.uri": "sqlite:///a.db"})
    workers = connect(cluster.scheduler_address, {"tracking.uri": "http://there:5000"})
    assert workers.count == 1
    workers.client.close()


def test_the_task_that_kills_dask_workers_has_failed_and_no_other() -> None:
    """A stand-in for the cluster: a real one takes seconds to restart each worker."""
    from distributed import KilledWorker

    class Cluster(Executor):
        def submit(self, call: Any, work: Any, task: Any, *more: Any) -> "Future[Any]":  # type: ignore[override]
            future: Future[Any] = Future()
            if task == 2:
                future.set_exception(KilledWorker("task", SimpleNamespace(address="tcp://there"), 3))
            else:
                future.set_result(call(work, task, *more))
            return future

    workers = Workers(2, 1, SimpleNamespace(get_executor=lambda pure: Cluster()))
    done = {one.task: one for one in execute(range(5), square, workers, Stop(""))}
    assert {number for number, one in done.items() if one.outcome == "finished"} == {0, 1, 3, 4}
    assert (done[2].outcome, done[2].sentence.partition(",")[0]) == ("failed", "every worker that ran it was killed")


@pytest.mark.slow
def test_a_lost_scheduler_is_one_sentence(cluster: Any) -> None:
    workers = connect(cluster.scheduler_address, {})
    assert workers.stopping("tasks end").startswith("the cluster finishes")
    assert local(1).stopping("tasks end") == "tasks end"
    done = execute(range(2), wait_a_moment, workers, Stop(""))
    threading.Timer(1.0, cluster.close).start()
    with pytest.raises(UserError, match=r"^the Dask cluster failed \(.*\): start the same command again$"):
        list(done)
    workers.client.close()
    for name in ("distributed", "distributed.client"):  # a client that cannot connect again logs a trace
        assert not logging.getLogger(name).isEnabledFor(logging.ERROR)
