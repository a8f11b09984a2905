"""A class in the place of a model's name."""

import pytest
import torch
from torch_geometric.nn.models import GraphSAGE

import depthlab as dl
from depthlab.api.given import model_settings
from tests.api.conftest import Train


def test_a_class_is_trained_and_loaded(train: Train) -> None:
    run = train(model=GraphSAGE, dropout=0)
    assert run.settings["model"]["target"] == "torch_geometric.nn.models.basic_gnn.GraphSAGE"
    loaded = dl.load(run.run_id)
    assert dl.examine(loaded).depth == 3 and len(loaded.states()) == 4
    named = {"model": "module", "model.target": "my_net.py:Net"}
    assert model_settings("my_net.py:Net") == named and model_settings("gcn") == {"model": "gcn"}


def test_what_is_no_class_that_can_be_imported() -> None:
    class Local(torch.nn.Module):
        pass

    for model, sentence in (
        (Local, "defined where no other process can import it (a notebook, a script or a function)"),
        (Local(), "got an object of Local: dl.train builds the network itself, from depth and seed"),
        (3, "model must be a name or a class, got an object of int"),
    ):
        with pytest.raises(dl.UserError) as error:
            model_settings(model)
        assert sentence in str(error.value)
