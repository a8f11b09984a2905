"""What holds for every rewiring of conf/rewiring."""

import inspect
from typing import Any

import pytest
import torch
import yaml
from hydra.utils import get_method
from torch import Tensor

from depthlab.config.limits import within
from depthlab.folders import CONF
from tests.graph.rewiring.conftest import assert_form, random_graph, seeded

OPTIONS = sorted(path.stem for path in (CONF / "rewiring").glob("*.yaml") if path.stem != "none")
NODES = 90
GRAPHS = {
    "connected": random_graph(NODES, 0.15, 0),
    "isolated nodes and components": torch.cat([random_graph(40, 0.05, 1), random_graph(30, 0.2, 2) + 45], dim=1),
}


def option(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / "rewiring" / f"{name}.yaml").read_text())


def rewire(name: str, edge_index: Tensor, num_nodes: int = NODES, seed: int = 0) -> Tensor:
    knobs = {key: value for key, value in option(name).items() if key not in ("_target_", "seed", "layers", "limits")}
    return get_method(option(name)["_target_"])(edge_index, num_nodes, seeded(seed), **knobs)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_settings_are_the_function_s_own(name: str) -> None:
    settings = option(name)
    parameters = inspect.signature(get_method(settings["_target_"])).parameters
    own = [key for key, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY]
    assert [key for key in settings if key not in ("_target_", "limits")] == [*own, "seed", "layers"]
    assert list(parameters)[:3] == ["edge_index", "num_nodes", "generator"]
    assert settings["limits"].keys() == {*own, "seed", "layers"}
    assert all(within(settings[key], limit) for key, limit in settings["limits"].items() if settings[key] is not None)
    assert settings["limits"]["seed"] == "[0, 4294967295]" and settings["limits"]["layers"] == ["all", "last"]
    assert (CONF / "rewiring" / f"{name}.yaml").read_text().startswith("# ")


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("name", OPTIONS)
def test_the_result_has_the_form_of_a_graph_and_the_input_is_left_alone(name: str, graph: str) -> None:
    edge_index = GRAPHS[graph]
    before = edge_index.clone()
    after = rewire(name, edge_index)
    assert_form(after)
    assert torch.equal(edge_index, before)
    assert not torch.equal(after, before)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("name", OPTIONS)
def test_a_seed_is_a_result(name: str, graph: str) -> None:
    assert torch.equal(rewire(name, GRAPHS[graph], seed=5), rewire(name, GRAPHS[graph], seed=5))


@pytest.mark.parametrize("name", OPTIONS)
def test_the_order_of_the_edges_does_not_matter(name: str) -> None:
    edge_index = GRAPHS["connected"]
    shuffled = edge_index[:, torch.randperm(edge_index.shape[1], generator=seeded())]
    assert torch.equal(rewire(name, shuffled), rewire(name, edge_index))


def test_every_rewiring_is_tested() -> None:
    assert set(OPTIONS) >= {"random", "fosr", "sdrf", "borf", "virtual_node", "fully_adjacent", "ppr"}
