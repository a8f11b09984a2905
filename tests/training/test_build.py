from dataclasses import replace
from typing import Any

import pytest
import torch

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.option_types import ModelSettings
from depthlab.config.schema import Settings
from depthlab.graph.adjacency import gcn_adjacency
from depthlab.graph.graph import Graph
from depthlab.nn.gcn import GCN
from depthlab.nn.linear import Linear
from depthlab.nn.network import Network
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


def composed(*overrides: str) -> Settings:
    return compose_settings(["dataset=csbm", "recipe=none", "hidden=8", *overrides])


@pytest.mark.parametrize("norm", ["batch", "layer", "pair"])
@pytest.mark.parametrize(("model", "name"), [("appnp", "APPNP"), ("acmp", "ACMP"), ("diffusion", "Diffusion")])
def test_an_unsupported_norm_is_refused_in_one_sentence(model: str, name: str, norm: str, star: Graph) -> None:
    sentence = f"^{name} does not support norm={norm}: use norm=none$"
    with pytest.raises(UserError, match=sentence):
        build_model(composed(f"model={model}", f"norm={norm}"), star, TASK)
    assert type(build_model(composed(f"model={model}"), star, TASK).network).__name__ == name


def test_a_supported_norm_is_built(star: Graph) -> None:
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


def test_the_hyperparameters_of_the_model_are_passed(star: Graph) -> None:
    overrides = [
        "model.repulsion=0.25",
        "model.step_size=0.1",
        "model.learn_repulsion=true",
        "model.weights=attention",
        "model.heads=2",
    ]
    model: Any = build_model(composed("model=acmp", "depth=5", "seed=7", *overrides), star, TASK).network
    assert (model.repulsion.item(), model.repulsion.requires_grad, model.attention.heads) == (0.25, True, 2)
    assert (model.depth, model.encoder.weight.shape, model.decoder.bias.shape) == (5, (3, 8), (CLASSES,))
    assert model.masks.seed == 7


class Own(GCN):
    """Passes on what it does not know."""

    def __init__(self, *sizes: Any, strength: float = 2.0, **gcn: Any) -> None:
        super().__init__(*sizes, **gcn)
        self.strength = strength


class Bare(Network):
    """Drops nothing, and is as wide as it is."""

    def __init__(self, in_channels: int, out_channels: int, depth: int) -> None:
        super().__init__(depth)
        self.encoder = Linear(in_channels, out_channels)


class Forward(GCN):
    def forward(self, x: Any, graph: Any) -> Any:
        return super().forward(x, graph) + 1


def own(kind: type, *overrides: str, **arguments: Any) -> Settings:
    settings = composed("model=mlp", "dropout=0", *overrides)
    model = ModelSettings(name="own", target=f"{__name__}.{kind.__name__}", arguments=arguments)
    return replace(settings, model=model)


def test_a_network_gets_the_settings_that_its_constructor_has_room_for(star: Graph) -> None:
    made: Any = build_model(own(Own, "norm=batch", "depth=3", strength=0.5), star, TASK).network
    assert made.strength == 0.5 and len(made.norms) == 2
    assert build_model(own(Bare, "depth=4"), star, TASK).network.depth == 4
    with pytest.raises(UserError, match=r"^Bare does not support dropout=0\.5: use dropout=0\.0$"):
        build_model(own(Bare, "depth=4", "dropout=0.5"), star, TASK)


def test_what_is_no_network_or_defines_forward_is_refused_in_one_sentence(star: Graph) -> None:
    with pytest.raises(UserError, match=r"^Forward defines forward, which may differ from its layers: define encode, "):
        build_model(own(Forward), star, TASK)
    with pytest.raises(UserError, match=r"^model\._target_=torch\.nn\.Linear is not a network: derive the class "):
        build_model(replace(own(Bare), model=ModelSettings(name="own", target="torch.nn.Linear")), star, TASK)


def test_a_yaml_that_does_not_fit_the_constructor_is_refused_in_one_sentence(star: Graph) -> None:
    with pytest.raises(UserError, match=r"^Bare got an unexpected keyword argument 'rat': let the yaml of the model "):
        build_model(own(Bare, rat=1), star, TASK)
    with pytest.raises(UserError, match=r"^Own cannot be built, GCN\.__init__\(\) got an unexpected .*'rat': correct"):
        build_model(own(Own, rat=1), star, TASK)
    with pytest.raises(UserError, match=r"^Bare is given depth by the program: leave it out of the yaml of the model$"):
        build_model(own(Bare, depth=3), star, TASK)
