"""Small files in the formats of the real ones, and projects to put them in."""

import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from depthlab import __main__ as program
from depthlab.config.option_types import DatasetSettings
from depthlab.config.settings import make_option
from depthlab.config.yaml_files import read_mapping
from depthlab.data import raw_files as listing
from depthlab.folders import CHECKOUT, CONF, HOME, SOURCE
from depthlab.tracking.store import open_store
from tests.log_handlers import restored_log_handlers

FEATURES, CLASSES, LABELLED, NODES = 10, 3, 6, 520  # PyG's reader takes the 500 nodes after the first 6 to validate
FIRST_TEST = 510
LIST = Path("src") / "depthlab" / "data" / "raw_files.tsv"  # in a copy of the program


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def default_ctrl_c() -> None:
    """A shell makes background commands ignore SIGINT, which child processes inherit."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of proxies, of a Git hook that runs the tests, and of a user do not reach the tests."""
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "OPTUNA_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("DEPTHLAB_HOME", "DEPTHLAB_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


def bits(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A feature row for every number, no two alike and none of zeros only."""
    rows: np.ndarray[Any, Any] = ((numbers[:, None] + 1) >> np.arange(FEATURES) & 1).astype(np.float32)
    return rows


def write_planetoid(folder: Path, name: str, absent: tuple[int, ...]) -> None:
    """The eight files: node i has the bits of i + 1 and class i % 3, all nodes but the absent ones form a ring."""
    nodes = np.arange(NODES)
    present = np.setdiff1d(nodes, absent)
    order = np.random.default_rng(0).permutation(present[present >= FIRST_TEST])
    one_hot = np.eye(CLASSES, dtype=np.int32)
    graph: defaultdict[int, list[int]] = defaultdict(list, {int(node): [] for node in nodes})
    for a, b in zip(present.tolist(), np.roll(present, -1).tolist(), strict=True):
        graph[a].append(b)
        graph[b].append(a)
    graph[0] += [0, 1]  # a self-loop and a repetition, as the real files have
    parts = {
        "x": csr_matrix(bits(nodes[:LABELLED])), "y": one_hot[nodes[:LABELLED] % CLASSES],
        "allx": csr_matrix(bits(nodes[:FIRST_TEST])), "ally": one_hot[nodes[:FIRST_TEST] % CLASSES],
        "tx": csr_matrix(bits(order)), "ty": one_hot[order % CLASSES], "graph": graph,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for part, content in parts.items():
        (folder / f"ind.{name}.{part}").write_bytes(pickle.dumps(content, protocol=2))
    (folder / f"ind.{name}.test.index").write_text("".join(f"{node}\n" for node in order))


def npz_arrays() -> dict[str, np.ndarray[Any, Any]]:
    """30 nodes in a directed ring with a self-loop and a repetition, three classes, ten splits."""
    nodes = np.arange(30)
    ring = np.stack([nodes, np.roll(nodes, -1)], axis=1)
    rank = np.stack([np.random.default_rng(split).permutation(30) for split in range(10)])
    return {
        "node_features": bits(nodes), "node_labels": nodes % 3,
        "edges": np.concatenate([ring, [[4, 4], [1, 0]]]),
        "train_masks": rank < 15, "val_masks": (rank >= 15) & (rank < 22), "test_masks": rank >= 22,
    }  # fmt: skip


@pytest.fixture
def arrays() -> dict[str, np.ndarray[Any, Any]]:
    return npz_arrays()


@pytest.fixture(scope="session")
def raw_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with Cora, Citeseer (two nodes of the test range in no file) and Texas in small. Do not write."""
    folder = tmp_path_factory.mktemp("raw") / "data"
    write_planetoid(folder / "planetoid", "cora", absent=())
    write_planetoid(folder / "planetoid", "citeseer", absent=(513, 517))
    (folder / "heterophilous").mkdir()
    arrays: dict[str, Any] = npz_arrays()
    np.savez(folder / "heterophilous" / "texas.npz", **arrays)
    return folder


@pytest.fixture(scope="session")
def write_list() -> Callable[[Path], None]:
    """Makes what lies in CHECKOUT/data the known raw files, in the list of a copy of the program in CHECKOUT."""

    def write(root: Path) -> None:
        path = root / LIST
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{listing.HEADER}\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DEPTHLAB_HOME", str(root))
            patch.setattr(listing, "LIST", path)
            listing.add(path for path in sorted((root / "data").rglob("*")) if path.is_file())

    return write


@pytest.fixture
def use_root(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """Makes a folder the project root for everything that reads raw or prepared files."""

    def use(root: Path) -> Path:
        monkeypatch.setenv("DEPTHLAB_HOME", str(root))
        monkeypatch.setattr(listing, "LIST", root / LIST)
        return root

    return use


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of conf/ that everything reads that is composed and checked here."""
    copy = Path(shutil.copytree(CONF, tmp_path / "conf"))
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    for module in ("cli", "config.compose", "config.files"):
        monkeypatch.setattr(f"depthlab.{module}.CONF", copy)
    return copy


@pytest.fixture
def no_room() -> Iterator[None]:
    """A disk on which no file may be larger than a kilobyte: writing more fails as it does on a full one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))  # Python itself ignores the signal
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def project(
    tmp_path: Path, raw_files: Path, write_list: Callable[[Path], None], use_root: Callable[[Path], Path]
) -> Path:
    """The root of a project with the small raw files and their list."""
    shutil.copytree(raw_files, tmp_path / "project" / "data")
    write_list(tmp_path / "project")
    return use_root(tmp_path / "project")


@pytest.fixture
def dataset_config() -> Callable[..., DatasetSettings]:
    """The settings of conf/dataset/NAME.yaml, with changes."""

    def read(name: str, **changes: Any) -> DatasetSettings:
        content = read_mapping(CONF / "dataset" / f"{name}.yaml") | changes
        option: DatasetSettings = make_option("dataset", name, content)
        return option

    return read


@pytest.fixture(scope="session")
def dvc() -> Callable[..., None]:
    """Runs a DVC command in a folder."""

    def run(root: Path, *command: str) -> None:
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=root, check=True, capture_output=True)

    return run


@pytest.fixture(scope="session")
def dvc_template(tmp_path_factory: pytest.TempPathFactory, dvc: Callable[..., None]) -> Iterator[Path]:
    """An empty Git and DVC project whose remote is the folder `remote` in it. Copy before use."""
    root = tmp_path_factory.mktemp("dvc") / "project"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
            patch.delenv(name, raising=False)
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        dvc(root, "init", "-q")
        lines = ["[core]", "analytics = false", "check_update = false", "remote = store"]
        (root / ".dvc" / "config").write_text("\n".join([*lines, "['remote \"store\"']", "url = ../remote", ""]))
        yield root


@pytest.fixture
def dvc_project(tmp_path: Path, dvc_template: Path) -> Path:
    """A Git and DVC project of the test's own."""
    return Path(shutil.copytree(dvc_template, tmp_path / "dvc-project"))


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with tables and no runs, one for all workers: creating it takes seconds. Copy before use."""
    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "empty.db"
    open_store(f"sqlite:///{path}", "depthlab")
    return path


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    """An empty folder in which commands are started: what they write stays there."""
    (tmp_path / "workshop").mkdir()
    return tmp_path / "workshop"


@pytest.fixture
def clone(workshop: Path) -> Path:
    """The same with a copy of the program, which commands started there use."""
    for folder in ("src", "conf"):
        shutil.copytree(CHECKOUT / folder, workshop / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return workshop


@pytest.fixture
def environment() -> dict[str, str]:
    """Variables of a command that finds the program and uses one thread, since tests run in parallel."""
    inherited = {name: value for name, value in os.environ.items() if name != HOME}
    return inherited | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(SOURCE)])}


class Done(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `python -m src.NAME ...` in this process: another would import libraries for seconds."""

    def call(name: str, *typed: str) -> Done:
        monkeypatch.setattr(sys, "argv", [name, *typed])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # commands set it
        capsys.readouterr()
        code: Any = 0
        try:
            with restored_log_handlers():
                program.run(name)
        except SystemExit as end:
            code = end.code or 0
        return Done(code, *capsys.readouterr())

    return call


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def launch(workshop: Path, environment: dict[str, str]) -> Iterator[Start]:
    """Starts `python -m MODULE ...` in the workshop, in a process group of its own."""
    started: list[subprocess.Popen[str]] = []

    def begin(*typed: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", *typed], cwd=workshop, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", scheduler_port=0
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def scheduler(workshop: Path, environment: dict[str, str]) -> Iterator[str]:
    """Address of a Dask cluster of two processes."""
    (workshop / "cluster.py").write_text(CLUSTER)
    process = subprocess.Popen(
        [sys.executable, "cluster.py"], cwd=workshop, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    try:
        process.communicate(timeout=30)  # closes its input
    finally:
        process.kill()


@pytest.fixture
def real_cora() -> Path:
    """The folder of the real Planetoid files; in CI they have to be there."""
    folder = CHECKOUT / "data" / "planetoid"
    if not (folder / "ind.cora.x").is_file():
        if os.environ.get("CI"):
            pytest.fail("data/planetoid/ind.cora.x is missing: run `make data` before the tests")
        pytest.skip("the real Cora is not in data/")
    return folder
