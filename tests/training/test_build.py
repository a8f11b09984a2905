from typing import Any

import pytest
import torch

from depthlab.config.errors import UserError
from depthlab.config.settings import compose_settings
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.tasks.task import Classification
from depthlab.training.build import build_model

N, CLASSES = 12, 2
TASK = Classification("acc", ("acc",), CLASSES)


@pytest.fixture
def star() -> Graph:
    """Node 0 and eleven others, three features."""
    spokes = torch.stack([torch.zeros(N - 1, dtype=torch.long), torch.arange(1, N)])
    x = 0.3 * torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
    adjacency = gcn_adjacency(torch.cat([spokes, spokes.flip(0)], 1), N)
    return Graph(x, adjacency, torch.arange(N) % CLASSES, *torch.arange(N).split(4))


def composed(*overrides: str) -> dict[str, Any]:
    return compose_settings(["dataset=csbm", "recipe=none", "hidden=8", *overrides])


@pytest.mark.parametrize("norm", ["batch", "layer", "pair"])
@pytest.mark.parametrize(("model", "name"), [("appnp", "APPNP"), ("acmp", "ACMP"), ("diffusion", "Diffusion")])
def test_a_norm_that_has_no_place_is_refused_in_one_sentence(model: str, name: str, norm: str, star: Graph) -> None:
    sentence = f"^norm={norm} has no place in {name}, which norms nothing: use norm=none$"
    with pytest.raises(UserError, match=sentence):
        build_model(composed(f"model={model}", f"norm={norm}"), star, TASK)
    assert type(build_model(composed(f"model={model}"), star, TASK)).__name__ == name


def test_a_norm_that_has_a_place_is_built(star: Graph) -> None:
    model = build_model(composed("model=gcn", "norm=batch", "depth=3"), star, TASK)
    assert {type(module).__name__ for module in model.modules()} >= {"BatchNorm1d"}


@pytest.mark.parametrize("solver", ["euler", "rk4"])
def test_a_step_that_overflows_on_the_graph_is_refused_before_training(solver: str, star: Graph) -> None:
    unstable = ("model=acmp", "model.normalization=sum", "model.step_size=1", f"model.solver={solver}")
    with pytest.raises(UserError, match=r"may overflow on this graph: .* at node 0 with 11 neighbours"):
        build_model(composed(*unstable), star, TASK)
    build_model(composed(*unstable, "model.stability_check=off"), star, TASK)
    build_model(composed(*unstable, "model.solver=dopri5"), star, TASK)
    build_model(composed(*unstable, "model.step_size=0.05"), star, TASK)


def test_the_knobs_of_the_model_arrive(star: Graph) -> None:
    overrides = [
        "model.repulsion=0.25",
        "model.step_size=0.1",
        "model.learn_repulsion=true",
        "model.weights=attention",
        "model.heads=2",
    ]
    model: Any = build_model(composed("model=acmp", "depth=5", "seed=7", *overrides), star, TASK)
    assert (model.repulsion.item(), model.repulsion.requires_grad, model.attention.heads) == (0.25, True, 2)
    assert (model.settings.depth, model.settings.hidden, model.settings.seed) == (5, 8, 7)
    assert (model.settings.in_channels, model.settings.out_channels) == (3, CLASSES)
