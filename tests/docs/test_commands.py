"""Every command of README and of the site: its words are understood, and it runs, with small settings and small graphs.

The guides that have a test of their own (graphs, networks, python, tracking) are left out.
"""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.datasets import KarateClub

from depthlab.__main__ import COMMANDS
from depthlab.config.compose import compose_settings
from depthlab.folders import CHECKOUT, CONF
from tests.conftest import Command, npz_arrays
from tests.docs.pages import DOCS, PAGES, README, commands

TESTED = {DOCS / "guides" / f"{name}.md" for name in ("graphs", "networks", "python", "tracking")}
FOUND = sorted({line for page in [README, *PAGES] if page not in TESTED for line in commands(page)})
TYPED = [line for line in FOUND if line.startswith("depthlab ")]
TRAINED = [line for line in TYPED if line.split()[1] in ("train", "study", "sweep")]
# what cannot run in a test: a server, a download, other machines, a run that is still open, the whole of Cora
STARTED_ELSEWHERE = (
    "depthlab ui",
    "depthlab lesson",
    "depthlab fetch",
    "backend=dask",
    "submitit_",
    "depthlab close",
    "trainer=gpu",
    "split=random",
)
NET = """
from torch import nn
from torch_geometric.nn import GCNConv


class Net(nn.Module):
    def __init__(self, in_channels, out_channels, depth, hidden, dropout):
        super().__init__()
        sizes = [in_channels, *[hidden] * (depth - 1), out_channels]
        self.convs = nn.ModuleList(GCNConv(a, b) for a, b in zip(sizes, sizes[1:]))

    def forward(self, x, edge_index):
        for conv in self.convs:
            x = conv(x, edge_index)
        return x
"""


def test_there_are_commands() -> None:
    assert len(TYPED) > 60 and len({line.split()[1] for line in TYPED}) > 8


@pytest.mark.parametrize("line", FOUND)
def test_what_it_names_exists(line: str) -> None:
    words = [word for word in shlex.split(line) if not re.fullmatch(r"[A-Z_]+=\S+", word)]
    if words[0] == "make":
        assert f"\n{words[1]}: " in (CHECKOUT / "Makefile").read_text()
    elif words[0] == "python":
        assert (CHECKOUT / f"{words[2].replace('.', '/')}.py").is_file() or words[2] == "benchmarks"
    elif words[0] == "depthlab":
        assert words[1] in {*COMMANDS, "--help", "--version"}
        for word in words:
            if found := re.fullmatch(r"study=(\w+)", word):
                assert found[1] in ("mine", "NAME", "custom") or (CONF / "study" / f"{found[1]}.yaml").is_file()


@pytest.mark.parametrize("line", [line for line in TRAINED if line.split()[1] == "train" and " -m " not in line])
def test_settings_of_a_run_are_composed(line: str, folder: Path) -> None:
    if not ("--" in line or "study=" in line):
        compose_settings(shlex.split(line)[2:])


def small(line: str) -> list[str]:
    """The words of a command, with fewer nodes, layers, epochs and trials."""
    words = [re.sub(r"^(?:depth=)(\d+)", r"depth=\1", word) for word in shlex.split(line)[1:]]
    words = [re.sub(r"^dataset.nodes=1000000$", "dataset.nodes=2000", word) for word in words]
    words = [re.sub(r"^loader.parts=2000$", "loader.parts=40", word) for word in words]
    words = [re.sub(r"^depth=(64|512)$", "depth=6", word) for word in words]
    words = [re.sub(r"^replicas=10$", "replicas=2", word) for word in words]
    words = [re.sub(r"^(trials)=\d+$", r"\1=2", word) for word in words]
    words = [re.sub(r"^dataset=(minesweeper)$", "dataset=texas", word) for word in words]
    if "--help" in line or "--cfg" in line or "dry=true" in line or words[0] not in ("train", "study", "sweep"):
        return words
    small = ["epochs=2", "progress=false", "trainer.threads=1", "hidden=8", "tracking.artifacts=[]"]
    if not any(word.startswith("dataset=") for word in words) and words[0] == "train":
        small.append("dataset=texas")
    if "dataset=folder" in words:
        small += ["loader.parts=4", "loader.batch_parts=2"]
    if "model=acmp" in words or "model=diffusion" in words:
        small.append("model.step_size=0.01")
    if any(word.startswith("dataset=ring_transfer") or "_transfer" in word or "tree" in word for word in words):
        small.append("dataset.batch_size=2000")
    if words[0] == "study":
        small += ["jobs=1"]
        words = [re.sub(r"range\(10\)", "range(2)", word) for word in words]
        if any(word.startswith("study=") for word in words):
            small = ["dry=true"]  # all runs are listed; a study of its own settings is trained below
    if words[0] == "sweep":
        small += ["jobs=1", "seeds=1", "fresh=0", *([] if "trials=" in line else ["trials=2"])]
        small += [] if "depth=" in line else ["depth=2"]
        small += [] if "dataset=" in line else ["dataset=texas"]
    return [*words, *small]


@pytest.fixture
def folder(project: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder: small raw files, a graph, a network, a study."""
    shutil.copy(empty_store, project / "mlflow.db")
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    data = KarateClub()[0]
    torch.save(data, "graph.pt")
    Path("my_net.py").write_text(NET)
    np.savez("FILE.npz", **npz_arrays())  # type: ignore[arg-type]
    arrays = npz_arrays()
    Path("FOLDER").mkdir()
    for name, array in {
        "x": arrays["node_features"], "edge_index": arrays["edges"].T, "y": arrays["node_labels"],
        "train": arrays["train_masks"], "val": arrays["val_masks"], "test": arrays["test_masks"],
    }.items():  # fmt: skip
        np.save(f"FOLDER/{name}.npy", array)
    (mine,) = re.findall(
        r"```yaml\n(# conf/study/mine.yaml\n.*?)```", (DOCS / "guides" / "studies.md").read_text(), re.DOTALL
    )
    code, settings = re.findall(
        r"```(?:python|yaml)\n(.*?)```", (DOCS / "guides" / "architecture.md").read_text(), re.DOTALL
    )
    Path("conf/model").mkdir(parents=True)
    Path("mine.py").write_text(code)
    Path("conf/model/mine.yaml").write_text(settings)
    Path("conf/study").mkdir()
    Path("conf/study/mine.yaml").write_text(mine)
    return project


RUN = [
    line for line in TYPED if not any(word in line for word in STARTED_ELSEWHERE) and not line.startswith("depthlab -")
]
AFTER_A_RUN = ("predict", "examine", "report")


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in RUN if line.split()[1] not in (*AFTER_A_RUN, "trust", "completion")])
def test_it_runs(line: str, folder: Path, command: Command) -> None:
    if re.search(r"study study=(?!cora|quick|custom|mine )", line) and "dry=" not in line:
        pytest.skip("a study of conf/study on data that the test does not have; tests/study composes them all")
    words = small(line)
    if "ckpt=last" in words:  # tests/training resumes interrupted runs; this one has finished
        assert command(*(word for word in words if word != "ckpt=last")).code == 0
        assert "has finished" in command(*words).err
        return
    done = command(*words)
    assert done.code == 0, done.err


@pytest.mark.slow
def test_what_reads_a_run(folder: Path, command: Command) -> None:
    """`predict`, `examine` and `report`, after a run and a study."""
    run = ["dataset=pt", "dataset.path=graph.pt", "model=gcn", "depth=2", "epochs=2", "progress=false"]
    done = command("study", *run, "name=NAME", "seed=0", "jobs=1")
    assert done.code == 0, done.err
    done = command("train", *run, "seed=1", "trainer.threads=1")
    assert done.code == 0, done.err
    (run_id,) = re.findall(r"run ([0-9a-f]{32})$", done.out + done.err, re.MULTILINE)
    for line in RUN:
        name, *words = shlex.split(line)[1:]
        if name in AFTER_A_RUN:
            words = [word.replace("run=ID", f"run={run_id}") for word in words]
            words = [re.sub(r"^study=.*", "study=NAME", word) for word in words]
            done = command(name, *words)
            assert done.code == 0, f"{line}: {done.err}"
    assert Path("predictions.csv").is_file() and len(pd.read_csv("new.csv")) == 34
    assert Path("results/NAME/tables.md").is_file()
