"""`dl.examine`: any network on any graph, and its errors."""

import math

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv, global_mean_pool
from torch_geometric.nn.models import GAT, GCN, GIN, GraphSAGE

import depthlab as dl
from depthlab.measures.diagnosis import diagnose
from depthlab.nn import gcn


@pytest.mark.parametrize("kind", [GCN, GAT, GIN, GraphSAGE])
@pytest.mark.parametrize("depth", [1, 2, 16])
def test_a_newly_initialised_network_is_untrained(karate: Data, kind: type[nn.Module], depth: int) -> None:
    found = dl.examine(kind(34, 16, depth, 4), karate)
    assert (found.verdict, found.depth) == ("untrained", depth)
    assert "every weight matrix still fills the range" in found.evidence and "training score" in found.evidence
    assert list(found.to_frame().index) == list(range(depth + 1))
    assert all(math.isfinite(value) for value in found.curves["gradient_norm_at_start"])
    assert len(found.plot().axes) == len(found.to_frame().columns)
    assert repr(found).startswith(f"{kind.__name__}, {depth} layer") and "untrained" in found._repr_html_()


def test_a_trained_network_is_healthy_and_not_changed(karate: Data, fitted: nn.Module) -> None:
    frozen = fitted.get_submodule("convs.0").eval()
    random = torch.get_rng_state()
    before = {name: value.clone() for name, value in fitted.state_dict().items()}
    found = dl.examine(fitted, karate)
    assert found.verdict == "healthy" and "no validation nodes" in found.evidence
    assert found.scores == {"train_acc": 1.0}
    assert found.curves["gradient_norm"][0] > 0
    assert torch.equal(torch.get_rng_state(), random)
    assert fitted.training and not frozen.training
    assert all(torch.equal(value, before[name]) for name, value in fitted.state_dict().items())


def test_validation_nodes_decide_between_healthy_and_over_fitted(karate: Data, fitted: nn.Module) -> None:
    karate.val_mask = torch.stack([~karate.train_mask, karate.train_mask], dim=1)  # the first split is used
    karate.y = torch.where(karate.train_mask, karate.y, 0)
    found = dl.examine(fitted, karate)
    assert found.verdict == "over-fitted" and set(found.scores) == {"train_acc", "val_acc"}


def test_without_labels_the_verdict_is_unknown(karate: Data, fitted: nn.Module) -> None:
    del karate.y
    found = dl.examine(fitted, karate)
    assert found.verdict == "unknown" and found.scores == {} and "gradient_norm" not in found.curves
    assert found.evidence.startswith("there are no labels to tell whether it has learnt; layer 1 to 1:")
    assert dl.examine(GCN(34, 16, 2, 4), karate).verdict == "untrained"


def test_a_network_that_has_not_learnt_is_over_smoothed_or_unknown(karate: Data) -> None:
    torch.manual_seed(0)
    deep = dl.examine(GCN(34, 16, 32, 4), karate, is_trained=True)
    assert deep.verdict == "over-smoothed"
    flat = dl.examine(GCN(34, 16, 2, 4), karate, is_trained=True)
    assert flat.verdict == "unknown" and flat.evidence.endswith("needs the gradient after one epoch")


def test_small_weights_do_not_show_whether_a_network_is_trained(karate: Data) -> None:
    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = GCNConv(2, 4)

        def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
            return self.conv(x[:, :2], edge_index)

    found = dl.examine(Tiny(), karate)
    assert found.verdict == "unknown" and found.evidence.endswith("its weights do not show whether it is trained")


def test_an_architecture_of_depthlab(karate: Data) -> None:
    torch.manual_seed(0)
    found = dl.examine(gcn.GCN(34, 4, depth=3, hidden=16), karate)
    assert (found.verdict, found.depth) == ("untrained", 3)
    assert found.curves["gradient_norm_at_start"][0] > 0


def test_regression_binary_classes_and_forward_with_data(karate: Data) -> None:
    class OfData(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = GCN(34, 16, 2, 1)

        def forward(self, data: Data) -> torch.Tensor:
            output: torch.Tensor = self.net(data.x, data.edge_index)
            return output.squeeze(-1)

    karate.y = karate.y.clamp_max(1)
    assert "train_acc" in dl.examine(OfData(), karate).scores
    karate.y = karate.y.float()[:, None]
    assert "train_mae" in dl.examine(OfData(), karate).scores


def test_a_batch_of_graphs(karate: Data) -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.out = GCNConv(34, 16), GCNConv(16, 16), nn.Linear(16, 2)

        def forward(self, x: torch.Tensor, edge_index: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.out(global_mean_pool(self.second(self.first(x, edge_index), edge_index), batch))
            return output

    data = Data(x=karate.x, edge_index=karate.edge_index, y=torch.tensor([0, 1]), batch=torch.arange(34) // 17)
    found = dl.examine(Pooled(), data)
    assert (found.verdict, found.depth) == ("untrained", 1)  # the state after the second layer has been pooled
    del data.batch
    with pytest.raises(dl.UserError, match="Pooled cannot be called as forward"):
        dl.examine(Pooled(), data)


def test_diverged_states(karate: Data, fitted: nn.Module) -> None:
    with torch.no_grad():
        next(fitted.parameters()).mul_(1e39).mul_(1e39)
    assert dl.examine(fitted, karate).verdict == "diverged"
    del karate.y
    assert dl.examine(fitted, karate).verdict == "diverged"
    assert diagnose(0.0, None, 0.0, {"dirichlet_energy": [1.0, math.nan]}).verdict == "diverged"


@pytest.mark.parametrize(
    ("network", "change", "sentence"),
    [
        (nn.Linear(34, 4), {}, "Linear has no message-passing layer of PyG"),
        (GCN(3, 16, 2, 4), {}, "GCN cannot be called as forward(x, edge_index) with x (34, 34)"),
        (GCN(34, 16, 2, 2), {}, "the network returns 2 channels, but the labels contain class 3"),
        (GCN(34, 16, 2, 4), {"x": None}, "the Data has no x, the features (nodes, features), only edge_index"),
        (GCN(34, 16, 2, 4), {"x": torch.full((34, 34), math.nan)}, "x must hold finite numbers, got nan in row 0"),
        (GCN(34, 16, 2, 4), {"edge_index": torch.zeros(2, 0, dtype=torch.long)}, "edge_index holds no edge between"),
        (GCN(34, 16, 2, 4), {"edge_index": torch.tensor([[0], [34]])}, "edge_index must hold node numbers from 0 to"),
        (GCN(34, 16, 2, 4), {"edge_index": torch.zeros(5, 2)}, "edge_index must hold integers of shape (2, edges)"),
        (GCN(34, 16, 2, 4), {"train_mask": torch.zeros(34, dtype=torch.bool)}, "no training node has a label"),
        (GCN(34, 16, 2, 4), {"batch": torch.arange(34) // 17}, ""),
    ],
)
def test_wrong_input_raises_one_sentence(
    karate: Data, network: nn.Module, change: dict[str, torch.Tensor | None], sentence: str
) -> None:
    for name, value in change.items():
        karate[name] = value
        if value is None:
            del karate[name]
    if not sentence:
        assert dl.examine(network, karate).verdict == "untrained"
        return
    with pytest.raises(dl.UserError) as error:
        dl.examine(network, karate)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


def test_wrong_types_are_refused(karate: Data, fitted: nn.Module) -> None:
    for call, sentence in (
        (lambda: dl.examine(3, karate), "dl.examine needs a torch.nn.Module, got int"),  # type: ignore[arg-type]
        (lambda: dl.examine(fitted), "dl.examine needs a graph for this network"),
        (lambda: dl.examine(fitted, {}), "the graph must be a PyG Data"),
        (lambda: dl.examine(fitted, karate, measures=["x"]), "there is no measure by layer x: choose one of"),
        (lambda: dl.examine(fitted, karate, layers="x*"), "no module of GCN has a name like x*"),
    ):
        with pytest.raises(dl.UserError) as error:
            call()
        assert str(error.value).startswith(sentence)
