"""The model of a run is loaded by MLflow."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.tracking import MlflowClient

import depthlab as dl
from tests.api.conftest import Train
from tests.unpickling import Marker


def test_mlflow_loads_the_model_of_the_run_page(train: Train, tmp_path: Path) -> None:
    run = train()
    mlflow.set_tracking_uri(run.uri)
    model = mlflow.pyfunc.load_model(f"runs:/{run.run_id}/model")
    expected = dl.load(run.run_id).predict().to_frame()
    pd.testing.assert_frame_equal(model.predict(None), expected)
    some = model.predict(pd.DataFrame({"node": [5, 3]}))
    assert some["node"].tolist() == [5, 3] and some["class"].tolist() == expected["class"][[5, 3]].tolist()
    graph = {"x": np.ones((3, 64)), "edge_index": np.array([[0, 1], [1, 2]]), "edge_weight": np.ones(2)}
    assert len(model.predict(graph)) == 3
    with pytest.raises(dl.UserError, match="the input must be None for the run's own dataset"):
        model.predict([1, 2])
    names = {file.path for file in MlflowClient(run.uri).list_artifacts(run.run_id, "model")}
    assert names == {"model/MLmodel", "model/final.ckpt", "model/requirements.txt"}


def test_nothing_is_unpickled(train: Train, tmp_path: Path) -> None:
    run = train()
    folder = Path(MlflowClient(run.uri).get_run(run.run_id).info.artifact_uri.removeprefix("file://"))
    torch.save(Marker(tmp_path / "executed"), folder / "model" / "final.ckpt")
    mlflow.set_tracking_uri(run.uri)
    with pytest.raises(dl.UserError):
        mlflow.pyfunc.load_model(f"runs:/{run.run_id}/model")
    assert not (tmp_path / "executed").exists()
