"""A measure is one entry: registered, it goes through settings, training, MLflow, the study and the report."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

import depthlab.measures
from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.folders import CONF, PACKAGE
from depthlab.measures.registry import MEASURES, Measure, register, selectable
from depthlab.report.write import write_report
from depthlab.study.grid import expand
from depthlab.study.run import run_study
from depthlab.tracking.search import Records

LABEL = "mean of all entries"
SETTINGS = ["dataset=csbm", "dataset.nodes=60", "depth=2", "epochs=3", "hidden=4", "measures=[mean_entry]",
            "tracking.artifacts=[figures]", "trainer.threads=1", "progress=false"]  # fmt: skip


def mean_entry(x: Tensor, edge_index: Tensor) -> float:
    return float(x.mean()) - 1  # below zero: its axis is linear


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="measures must be a list of"):
        compose_settings(SETTINGS)
    monkeypatch.setitem(MEASURES, "mean_entry", Measure("mean_entry", f"{__name__}.mean_entry", LABEL))


def test_a_measure_that_is_registered_is_recorded_and_reported(
    registered: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    planned = expand({"GCN": "model=gcn"}, {}, {}, [*SETTINGS, f"tracking.uri={uri}"])
    config = OmegaConf.load(CONF / "study.yaml")
    assert isinstance(config, DictConfig)
    config.jobs = 1  # in this process, which knows the measure
    assert run_study("one", planned, config)

    records = Records(uri, "depthlab")
    (run,), (parent,) = records.runs("tags.depth = '2'"), records.runs("tags.kind = 'study'")
    curve = records.curve(run.run_id, "layer/mean_entry")
    assert len(curve) == 3 and run.metrics["layer/mean_entry"] == curve[-1]
    assert parent.metrics["depth/mean_entry"] == pytest.approx(curve[-1])
    page = Path(MlflowClient(uri).download_artifacts(run.run_id, "layers.html")).read_text()
    assert LABEL in page

    names = {path.name for path in write_report(records, "one")}
    folder = tmp_path / "results" / "one"
    assert {"depth.png", "layers-csbm.png"} <= names
    head, row = (folder / "runs.csv").read_text().splitlines()
    assert float(dict(zip(head.split(","), row.split(","), strict=False))["mean_entry"]) == pytest.approx(curve[-1])
    assert f"| method: {LABEL} | 2 |" in (folder / "tables.md").read_text()
    html = (folder / "report.html").read_text()
    assert f'"label":{json.dumps(LABEL)}' in html


def test_the_names_are_known_without_torch() -> None:
    code = (
        "import sys; from depthlab.config.schema import LISTED; print(LISTED['measures']());"
        " assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "log10_dirichlet_energy" in done.stdout


def test_every_function_can_be_imported_by_its_name() -> None:
    for name in selectable("layer"):
        assert getattr(depthlab.measures, name) is MEASURES[name].load()
    assert all(callable(measure.load()) for measure in MEASURES.values())
    with pytest.raises(AttributeError, match="no attribute 'x'"):
        depthlab.measures.x  # noqa: B018


def test_the_measures_by_layer_are_listed_once() -> None:
    assert set(selectable("layer")) <= set(dir(depthlab.measures))
    assert dir(depthlab).count("measures") == 1


def test_register_adds_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthlab.measures.registry.MEASURES", {})
    register(Measure("a", mean_entry, "A"), Measure("b", mean_entry, "B", axis="hop"))
    assert (selectable(), selectable("hop")) == (["a", "b"], ["b"])
