"""What may not be set ends in one sentence."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from depthlab.config.errors import UserError
from depthlab.config.settings import compose_settings, flatten
from depthlab.config.validation import validate
from depthlab.measures import MEASURES

CLUSTER = ["dataset=sbm_large", "loader=cluster"]
BAD = [
    (["depth=0"], "depth must be a whole number in [1, 100000], got 0"),
    (["seed=-1"], "seed must be a whole number in [0, 4294967295], got -1"),
    (["seed=4294967296"], "seed must be a whole number in [0, 4294967295], got 4294967296"),
    (["p_drop=1.5"], "p_drop must be a number in [0, 1), got 1.5"),
    (["p_drop=1"], "p_drop must be a number in [0, 1), got 1.0"),
    (["p_drop=-0.1"], "p_drop must be a number in [0, 1), got -0.1"),
    (["p_drop=nan"], "p_drop must be a number in [0, 1), got nan"),
    (["dropout=1"], "dropout must be a number in [0, 1), got 1.0"),
    (
        ["p_drop=0.001"],
        "p_drop must be 0 or above 1/512 and below 511/512, because masks have steps of 1/256, got 0.001",
    ),
    (
        ["p_drop=1e-300"],
        "p_drop must be 0 or above 1/512 and below 511/512, because masks have steps of 1/256, got 1e-300",
    ),
    (
        ["dropout=0.001953125"],
        "dropout must be 0 or above 1/512 and below 511/512, because masks have steps of 1/256, got 0.0",
    ),
    (
        ["dropout=0.999"],
        "dropout must be 0 or above 1/512 and below 511/512, because masks have steps of 1/256, got 0.999",
    ),
    (["replicas=1000000"], "replicas=1000000 has 1,000,000 runs, at most 10,000 are allowed: give fewer values, or"),
    (["trainer.threads=100000"], "trainer.threads must be a whole number or null in [1, 4096], got 100000"),
    (["lr=0"], "lr must be a number in (0, inf), got 0.0"),
    (["lr=inf"], "lr must be a number in (0, inf), got inf"),
    (["weight_decay=-1"], "weight_decay must be a number in [0, inf), got -1.0"),
    (["norm=foo"], "norm must be one of none, batch, layer, pair, got foo"),
    (["drop_edge.mode=foo"], "drop_edge.mode must be one of renormalize, rescale, got foo"),
    (["trainer.threads=0"], "trainer.threads must be a whole number or null in [1, 4096], got 0"),
    (["trainer.accelerator=tpu"], "trainer.accelerator must be one of cpu, gpu, got tpu"),
    (["trainer.precision=foo"], "trainer.precision must be one of float32, bf16, got foo"),
    (["trainer.devices=0"], "trainer.devices must be a whole number in [1, 1024], got 0"),
    (["trainer.devices=2"], "trainer.devices=2 needs trainer=ddp: otherwise one process trains on one device"),
    (["trainer.num_nodes=2"], "trainer.num_nodes=2 needs trainer=ddp"),
    (["trainer=ddp"], "trainer=ddp shares out the parts of one large graph: add loader=cluster"),
    ([*CLUSTER, "trainer=ddp", "trainer.devices=6"], "loader.batch_parts must be at least 6, a part for each of the 6"),
    (
        [*CLUSTER, "trainer=ddp", "norm=batch"],
        "norm=batch takes its statistics of all nodes, a process of trainer=ddp",
    ),
    ([*CLUSTER, "trainer=ddp", "norm=pair"], "norm=pair takes its statistics of all nodes"),
    (
        [*CLUSTER, "trainer=ddp", "model=diffusion", "model.solver=dopri5"],
        "an adaptive solver that is stuck in one process keeps the others waiting: use model.solver=rk4",
    ),
    (["monitor=loss"], "monitor must be one of val_loss, val_acc, train_acc, got loss"),
    (
        ["monitor=val_roc_auc"],
        "monitor must be one of val_loss, val_acc, train_acc, got val_roc_auc: add metrics",
    ),
    (["metrics=[acc,f1]"], "metrics must be a list of acc, balanced_acc, macro_f1, roc_auc, average_precision for a"),
    (["measures=[effective_rank,x]"], f"measures must be a list of {', '.join(MEASURES)}, sensitivity, got x"),
    (["tracking.artifacts=[x]"], "tracking.artifacts must be a list of config, figures, model, states, got x"),
    (["split=7"], "split must be one of public, random for dataset=cora, got 7"),
    (["split=null"], "split must be one of public, random for dataset=cora, got None"),
    (["dataset=texas", "split=10"], "split must be one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 for dataset=texas, got 10"),
    (["dataset=texas", "split=public"], "for dataset=texas, got public"),
    (["dataset=npz"], "dataset=npz needs a file, or a folder: add dataset.path=PATH"),
    (["dataset=folder"], "dataset=folder needs the folder: add dataset.path=FOLDER"),
    (["dataset=sbm_large", "dataset.mapped=false"], "dataset.mapped cannot be changed"),
    (["dataset=npz", "dataset.path=a.npz", "split=random"], "split must be the number of a split in a.npz, got random"),
    (
        ["dataset=npz", "dataset.path=a.npz", "dataset.metric=x"],
        "dataset.metric must be one of acc, balanced_acc, macro_f1,",
    ),
    (
        ["dataset=npz", "dataset.path=a.npz", "recipe=tuned"],
        "recipe=tuned is for a named dataset, and dataset=npz may be any graph: write conf/dataset/NAME.yaml with this",
    ),
    (["dataset=npz", "dataset.path=a", "like=cornell", "recipe=tuned"], "there is no tuned recipe for cornell-gcnii: "),
    (
        ["dataset=npz", "dataset.path=a", "like=ring_transfer"],
        "like=ring_transfer has no normalize_features to use",
    ),
    (["like=cornell"], "like=cornell is only for a graph of your own, not for dataset=cora: leave like out"),
    (["+dataset.path=a.npz"], "there is no setting dataset.path: choose one of dataset.name, dataset.files"),
    (["model.alpha=2"], "model.alpha must be a number in [0, 1], got 2"),
    (["model.alpha=null"], "model.alpha must be a number in [0, 1], got None"),
    (["model.alpha=abc"], "model.alpha must be a number in [0, 1], got abc"),
    (["model.theta=0"], "model.theta must be a number in (0, inf), got 0"),
    (["model.star=3"], "model.star must be true or false, got 3"),
    (["+model.x=1"], "there is no setting model.x: choose one of model.alpha, model.theta"),
    (["model=mlp", "+model.x=1"], "there is no setting model.x: choose one of none"),
    (["model._target_=os.system"], "model._target_ cannot be changed"),
    (["dataset.name=x"], "dataset.name cannot be changed"),
    (["dataset.metric=foo"], "dataset.metric must be one of acc, balanced_acc, macro_f1, "),
    (["rewiring._target_=os.system"], "rewiring._target_ cannot be changed: write a new yaml file in conf/rewiring"),
    (["+rewiring.num_edges=5"], "there is no setting rewiring.num_edges: choose one of none"),
    (
        ["rewiring=random", "rewiring.num_edges=-1"],
        "rewiring.num_edges must be a whole number in [0, 10000000], got -1",
    ),
    (["rewiring=random", "rewiring.num_edges=1.5"], "rewiring.num_edges must be a whole number, got 1.5"),
    (
        ["rewiring=fosr", "rewiring.num_edges=many"],
        "rewiring.num_edges must be a whole number in [0, 10000000], got many",
    ),
    (["rewiring=random", "rewiring.num_edges=10000001"], "rewiring.num_edges must be a whole number in [0, 10000000]"),
    (["rewiring=random", "rewiring.layers=first"], "rewiring.layers must be one of all, last, got first"),
    (["rewiring=random", "rewiring.seed=-1"], "rewiring.seed must be a whole number in [0, 4294967295], got -1"),
    (["+loader.parts=3"], "there is no setting loader.parts: choose one of loader.name"),
    (["loader=cluster", "loader.parts=0"], "loader.parts must be a whole number in [1, 1000000], got 0"),
    (["loader=cluster", "loader.parts=2.5"], "loader.parts must be a whole number, got 2.5"),
    (["loader=cluster", "loader.parts=4"], "loader.batch_parts must be at most loader.parts=4, got 5"),
    (["loader=cluster", "dataset=ring_transfer"], "loader=cluster is for one graph, ring_transfer has many"),
    (["loader=cluster", "rewiring=random"], "loader=cluster trains on the data's own edges: use rewiring=none"),
    (["loader=cluster", "p_drop=0.1"], "a part of a graph has no degrees to normalise by afresh: use drop_edge.mode=r"),
    (["~loader"], "loader cannot be removed: choose one of cluster, full"),
    (["~rewiring"], "rewiring cannot be removed: choose one of"),
    (
        ["recipe=tuned", "model=mlp"],
        "there is no tuned recipe for cora-mlp: find one with `python -m src.sweep model=mlp",
    ),
    (["recipe=published/cora-gcn"], "there is no recipe published/cora-gcn: choose one of none, published, tuned"),
    (["model=gcnii.yaml"], "there is no model gcnii.yaml: choose one of acmp,"),
    (["+tracking.x=1"], "there is no setting tracking.x"),
    (["+dpeth=3"], "there is no setting dpeth"),
    (["~model.alpha"], "model.alpha cannot be removed"),
    (["~depth"], "depth cannot be removed"),
    (["dataset=npz", "dataset.path=3"], "dataset.path must be a word, got 3"),
    (["dataset.normalize_features=3"], "dataset.normalize_features must be true or false, got 3"),
    (["dataset=csbm", "dataset.homophily=1.1"], "dataset.homophily must be a number in [0, 1], got 1.1"),
    (["dataset=csbm", "dataset.nodes=40.5"], "dataset.nodes must be a whole number, got 40.5"),
    (["model=gat", "model.heads=1000000000"], "model.heads must be a whole number in [1, 1024], got 1000000000"),
    (["dataset=csbm", "dataset.nodes=39"], "dataset.nodes must be a whole number in [40, 100000000], got 39"),
    (["dataset=tree_neighbors_match", "dataset.radius=0"], "dataset.radius must be a whole number in [2, 10], got 0"),
    (["dataset=tree_neighbors_match", "dataset.radius=2.5"], "dataset.radius must be a whole number, got 2.5"),
    (
        ["dataset=tree_neighbors_match", "dataset.batch_size=0"],
        "dataset.batch_size must be a whole number in [1, 1000000]",
    ),
    (
        ["dataset=tree_neighbors_match", "dataset.graphs=1000000000"],
        "dataset.graphs must be a whole number in [1, 500000]",
    ),
    (
        ["dataset=ring_transfer", "dataset.train_graphs=1000000000"],
        "dataset.train_graphs must be a whole number in [1, 100",
    ),
    (
        ["dataset=crossed_ring_transfer", "dataset.test_graphs=100001"],
        "dataset.test_graphs must be a whole number in [1, ",
    ),
    (
        ["dataset=clique_path_transfer", "dataset.test_graphs=100001"],
        "dataset.test_graphs must be a whole number in [1, ",
    ),
    (["dataset=tree_neighbors_match", "dataset.keys=x"], "dataset.keys must be one of ordered, shuffled, got x"),
    (["dataset=tree_neighbors_match", "split=3"], "split must be 0 for dataset=tree_neighbors_match, got 3"),
    (["dataset=ring_transfer", "dataset.size=2"], "dataset.size must be a whole number in [3, 200], got 2"),
    (["dataset=crossed_ring_transfer", "dataset.size=4"], "dataset.size must be a whole number in [5, 200], got 4"),
    (["dataset=clique_path_transfer", "dataset.size=3"], "dataset.size must be a whole number in [4, 200], got 3"),
    (["dataset=ring_transfer", "split=random"], "split must be 0 for dataset=ring_transfer, got random"),
    (
        ["dataset=ring_transfer", "dataset.batch_size=a"],
        "dataset.batch_size must be a whole number in [1, 1000000], got a",
    ),
    (["dataset=digits", "dataset.neighbors=1797"], "dataset.neighbors must be a whole number in [1, 1796], got 1797"),
]


@pytest.mark.parametrize(("typed", "sentence"), BAD, ids=[" ".join(typed) for typed, _ in BAD])
def test_bad_value(typed: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        compose_settings(typed)
    assert sentence in str(error.value)
    assert str(error.value).startswith(sentence.partition(" ")[0]) or sentence.startswith("for ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 1, "seed": 0, "p_drop": 0.0, "dropout": 0.0, "weight_decay": 0.0, "model.alpha": 0,
         "model.theta": 1e-9, "measures": [], "trainer.threads": 1},
        {"seed": 4294967295, "p_drop": 0.998, "dropout": 0.002, "model.alpha": 1,
         "trainer.threads": None, "split": "random"},
    ],
    ids=["lower", "upper"],
)  # fmt: skip
def test_limits_that_belong_to_the_range(settings: dict[str, Any]) -> None:
    typed = [f"{key}={'null' if value is None else value}" for key, value in settings.items()]
    assert flatten(compose_settings(typed)).items() >= settings.items()


def test_settings_of_settings_cannot_be_replaced_by_a_number() -> None:
    settings: dict[str, Any] = compose_settings([])
    choices = {"trainer": "cpu", "recipe": "published"}
    choices |= {"model": "gcnii", "dataset": "cora", "rewiring": "none", "loader": "full"}
    validate(OmegaConf.create(settings), choices)
    settings["dataset"] = {"name": "cora", "more": 3} | settings["dataset"]
    with pytest.raises(UserError, match=r"^there is no setting dataset"):
        validate(OmegaConf.create(settings), choices)
