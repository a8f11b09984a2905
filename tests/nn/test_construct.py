"""Construct external modules from settings, and the errors if that fails."""

from typing import Any

import pytest
import torch_geometric.nn as pyg
from torch import Tensor, nn

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.nn.construct import construct, takes_weights

NAMES: Any = compose_settings(["model=module", "model.target=torch.nn.Linear"]).model.arguments["names"]
VALUES = {"in_channels": 5, "out_channels": 3, "depth": 4, "hidden": 6, "dropout": 0.0}


class Own(nn.Module):
    def __init__(self, num_features: int, num_classes: int, n_layers: int, width: int = 9, bias: bool = True) -> None:
        super().__init__()
        self.given = num_features, num_classes, n_layers, width, bias

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        return x


class Needs(Own):
    def __init__(self, heads: int) -> None:
        raise ValueError("no heads")


def build(target: str, names: Any = NAMES, dropout: float = 0.0, **args: Any) -> tuple[Any, dict[str, str]]:
    return construct(target, VALUES | {"dropout": dropout}, args, names)


def test_the_first_matching_argument_name_gets_the_value() -> None:
    made, named = build(f"{__name__}.Own", bias=False)
    assert made.given == (5, 3, 4, 9, False)
    assert named == {"in_channels": "num_features", "out_channels": "num_classes", "depth": "n_layers"}
    made, _ = build(f"{__name__}.Own", NAMES | {"hidden": ["size", "width"]})
    assert made.given == (5, 3, 4, 6, True)
    made, named = build("torch_geometric.nn.models.GAT", dropout=0.5, heads=2)
    assert (len(made.convs), made.convs[0].heads, made.dropout.p, made.hidden_channels) == (4, 2, 0.5, 6)


BAD: list[tuple[str, dict[str, Any], str]] = [
    (
        "torch.optim.Adam",
        {},
        r"^model\.target=torch\.optim\.Adam is not a class of torch\.nn\.Module: name",
    ),
    ("torch.nn.functional.relu", {}, "is not a class of torch.nn.Module"),
    ("depthlab.nn.gcn.GCN", {}, "is an architecture of depthlab: write conf/model/NAME.yaml with _target_"),
    (f"{__name__}.Own", {"dropout": 0.5}, r"Own has no argument for dropout=0\.5: use dropout=0, or name it in model"),
    (f"{__name__}.Own", {"n_layers": 2}, r"Own gets n_layers from the setting depth: leave model\.args\.n_layers out"),
    (
        f"{__name__}.Own",
        {"foo": 2},
        r"Own got an unexpected keyword argument 'foo': its arguments besides num_f",
    ),
    (
        f"{__name__}.Needs",
        {},
        r"Needs missing a required argument: 'heads': .* are heads; give them as",
    ),
    (f"{__name__}.Needs", {"heads": 1}, r"Needs\(heads=1\) cannot be built: ValueError: no heads$"),
    (
        "torch_geometric.nn.models.GraphSAGE",
        {"foo": 1},
        r"^GraphSAGE\(.*foo=1\) cannot be built: TypeError: .* unexpected keyword argument 'foo'$",
    ),
]


@pytest.mark.parametrize(("target", "args", "sentence"), BAD, ids=[sentence[:50] for _, _, sentence in BAD])
def test_construction_errors_are_one_sentence(target: str, args: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        build(target, **args)


def test_edge_weights() -> None:
    assert takes_weights(Own(1, 1, 1), "Own")
    assert takes_weights(pyg.GCN(5, 6, 2), "GCN")
    assert not takes_weights(pyg.GraphSAGE(5, 6, 2), "GraphSAGE")
    assert not takes_weights(pyg.GINConv(nn.Identity()), "GINConv")


def test_another_signature_of_forward() -> None:
    with pytest.raises(UserError, match=r"^Net has forward\(input\), but networks are called as forward\(x, edge_"):
        takes_weights(nn.Linear(2, 2), "Net")
