"""Edge weights and directions with every architecture, and what a run prints about its graph."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.files import option_names
from depthlab.data.hashes import data_hash
from depthlab.data.prepare import load
from depthlab.training.experiment import experiment

NODES = 40
POINTWISE = ("fagcn", "gat", "gin")  # read the pattern of P alone
STABLE = {"acmp": ["model.step_size=0.02"]}
MODELS = [name for name in option_names("model") if name != "module"]


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Random directed edges with weights, three classes."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(NODES, (2, 150), generator=generator)
    x = torch.randn(NODES, 6, generator=generator)
    weights = torch.rand(150, generator=generator) + 0.1
    torch.save(Data(x=x, edge_index=edges, y=torch.arange(NODES) % 3, edge_weight=weights), tmp_path / "own.pt")
    return tmp_path / "own.pt"


def outputs(path: Path, model: str, *overrides: str) -> tuple[torch.Tensor, Any]:
    typed = ["dataset=pt", f"dataset.path={path}", f"model={model}", "depth=2", *STABLE.get(model, []), *overrides]
    made = experiment(compose_settings(typed))
    made.module.eval()
    out = made.module.network(made.graph.x, made.graph.layers)
    out.square().sum().backward()
    grads = [parameter.grad for parameter in made.module.network.parameters() if parameter.grad is not None]
    assert out.isfinite().all() and all(grad.isfinite().all() for grad in grads)
    return out.detach(), made


@pytest.mark.parametrize("model", MODELS)
def test_edge_weights_matter_unless_the_run_prints_that_they_are_ignored(
    graph: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    weighted, made = outputs(graph, model)
    said = "ignores edge weights" in capsys.readouterr().err
    plain, _ = outputs(graph, model, "dataset.edge_weight=none")
    assert torch.equal(weighted, plain) == (model in (*POINTWISE, "mlp"))
    assert said == (model in POINTWISE) and made.module.network.uses_weights != said


@pytest.mark.parametrize("model", MODELS)
def test_direction_matters(graph: Path, model: str) -> None:
    both, _ = outputs(graph, model)
    one, made = outputs(graph, model, "dataset.directed=true")
    assert torch.equal(both, one) == (model == "mlp")
    assert made.data.dataset.directed and not made.graph.adjacency.symmetric


def test_attention_ignores_edge_weights(graph: Path) -> None:
    _, made = outputs(graph, "diffusion", "model.weights=attention")
    assert not made.module.network.uses_weights


def test_an_external_module_gets_the_edge_weights(graph: Path) -> None:
    target = ["model.target=torch_geometric.nn.models.GCN"]
    weighted, made = outputs(graph, "module", *target)
    plain, _ = outputs(graph, "module", *target, "dataset.edge_weight=none")
    assert made.module.network.uses_weights and not torch.allclose(weighted, plain)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [(["rewiring=random"], "rewiring=random has no weights for the edges that it adds: use dataset.edge_weight="),
     (["rewiring=random", "dataset.directed=true"], "rewiring=random is for undirected graphs: use dataset.directed="),
     (["loader=cluster", "loader.parts=4", "loader.batch_parts=2", "dataset.directed=true"],
      "loader=cluster cuts undirected graphs into parts: use dataset.directed=false, or loader=full")],
)  # fmt: skip
def test_unsupported_settings_are_refused(graph: Path, overrides: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        outputs(graph, "gcn", *overrides)
    assert str(error.value).startswith(sentence)


def test_batches_contain_the_edge_weights(graph: Path) -> None:
    pytest.importorskip("pymetis")
    settings = compose_settings(
        ["dataset=pt", f"dataset.path={graph}", "model=gcn", "loader=cluster", "loader.parts=4", "loader.batch_parts=4"]
    )
    batch = next(iter(experiment(settings).batches))
    whole = experiment(compose_settings(["dataset=pt", f"dataset.path={graph}", "model=gcn"])).graph
    assert batch.adjacency.weights is not None
    torch.testing.assert_close(batch.adjacency.matrix.to_dense(), whole.adjacency.matrix.to_dense())


def test_a_run_prints_how_the_graph_was_read(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs(graph, "gcn")
    said = capsys.readouterr().err
    assert "own: " in said and "edges, because dataset.directed=false makes the graph undirected" in said
    assert "own: split=K is drawn at random with seed K: 60, 20 and 20 % of every class" in said
    outputs(graph, "gcn", "progress=false")
    assert not capsys.readouterr().err


def test_the_hash_of_tensors_is_pinned() -> None:
    karate = ["dataset=pyg", "dataset.name=KarateClub"]
    found = data_hash(compose_settings(karate).dataset)
    assert load(compose_settings([*karate, f"dataset.data_hash='{found[:8]}'"]).dataset)[1] == found
    for wrong in ("12345678", found[:7]):
        with pytest.raises(UserError, match=r"^KarateClub has the hash \w+, but dataset\.data_hash=\w+ requires"):
            load(compose_settings([*karate, f"dataset.data_hash='{wrong}'"]).dataset)


def test_settings_that_shape_the_graph_change_its_hash(graph: Path) -> None:
    typed = ["dataset=pt", f"dataset.path={graph}"]
    changes = [[], ["dataset.directed=true"], ["dataset.edge_weight=none"], ["dataset.normalize_features=true"]]
    assert len({data_hash(compose_settings([*typed, *change]).dataset) for change in changes}) == 4
    same = [["dataset.random_split=[0.5,0.2,0.2]"], ["dataset.name=other"], ["split=3"]]
    assert len({data_hash(compose_settings([*typed, *change]).dataset) for change in same}) == 1
