"""A study read back, against what MLflow itself says of its runs."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.settings import flatten, to_dict
from depthlab.measures.registry import in_report
from depthlab.report.runs import Report, _experiment, _present_code, read_report
from depthlab.report.write import write_report
from depthlab.tracking.search import Recorded
from depthlab.training.identity import code_hash
from tests.report.conftest import DEPTHS, DIVERGED, EPOCHS, EXPERIMENT, METHODS, NODES, SEEDS, STUDY, Store

ASKED = {  # columns that a reader of runs.csv counts on
    "study", "dataset", "model", "method", "depth", "seed", "split", "train_acc", "val_acc", "test_acc",
    "dirichlet_energy", "effective_rank", "best_epoch", "epochs_run", "seconds", "outcome", "verdict",
}  # fmt: skip


def test_one_row_for_each_run_method_by_method(report: Report) -> None:
    assert set(report.runs.columns) >= ASKED
    runs = report.runs[["method", "depth", "seed"]].itertuples(index=False, name=None)
    assert sorted(runs) == sorted((method, depth, seed) for method in METHODS for depth in DEPTHS for seed in SEEDS)
    assert list(dict.fromkeys(report.runs["method"])) == list(METHODS)
    assert report.runs[["study", "dataset", "split"]].drop_duplicates().values.tolist() == [[STUDY, "csbm", "0"]]


def test_values_are_those_of_the_runs(recorded: Store, report: Report) -> None:
    pairs = {
        "train_acc": "best_train_acc", "val_acc": "best_val_acc", "test_acc": "test_acc",
        "dirichlet_energy": "layer/dirichlet_energy", "effective_rank": "layer/effective_rank",
    }  # fmt: skip
    for row in report.runs.to_dict("records"):
        run = recorded.client.get_run(row["run_id"]).data
        said = (row["model"], str(row["depth"]), str(row["seed"]), row["outcome"], row["verdict"], row["evidence"])
        assert said == tuple(run.tags[key] for key in ("model", "depth", "seed", "outcome", "verdict", "evidence"))
        assert row["method"] == run.tags["method"]
        assert row["p_drop"] == float(run.params["p_drop"])
        lost = ("dirichlet_energy", "effective_rank") if row["outcome"] == "diverged" else ()
        held = [np.nan if name in lost else run.metrics.get(metric, np.nan) for name, metric in pairs.items()]
        np.testing.assert_array_equal([row[column] for column in pairs], held)
        assert row["seconds"] == pytest.approx(row["epochs_run"] * float(run.tags["seconds_per_epoch"]))
        for name in ("best_epoch", "epochs_run", "chance"):
            np.testing.assert_equal(row[name], float(run.tags.get(name, "nan")))
        assert (
            (row["outcome"] == row["verdict"] == "diverged") == (row["method"] == DIVERGED) == np.isnan(row["test_acc"])
        )
        assert row["method"] == DIVERGED or row["epochs_run"] == EPOCHS


def test_where_it_was_recorded_is_not_shown_around(recorded: Store, report: Report) -> None:
    tags = recorded.client.get_run(report.runs["run_id"].iloc[0]).data.tags
    assert recorded.uri in tags["command_line"]
    assert report.runs["overrides"].str.contains("depth=").all()
    assert not report.runs["overrides"].str.contains("tracking|sqlite").any()
    before = "depth=2 measures=['dirichlet_energy', 'max_abs'] model.alpha=0.2 progress=False"
    assert _experiment({"command_line": before}) == "depth=2 model.alpha=0.2"
    artifacts = "depth=2 tracking.artifacts=['config', 'figures']"
    assert _experiment({"command_line": artifacts}) == "depth=2"
    assert _experiment({"overrides": '["depth=2", "tracking.artifacts=[config,figures]"]'}) == "depth=2"
    assert _experiment({"overrides": '["dataset.path=/a b/\'c"]'}) == "'dataset.path=/a b/'\"'\"'c'"


def test_curves_hold_every_layer_in_order(recorded: Store, report: Report) -> None:
    measures = [one for one in in_report() if one.name != "max_abs"]  # not among the measures of that study
    assert len(report.curves) == len(report.runs) * len(measures)
    for row in report.runs[report.runs["outcome"] == "finished"].to_dict("records"):
        for measure in measures:
            curve = report.curves[row["run_id"], measure.name]
            assert len(curve) == row["depth"] + 1
            history = recorded.client.get_metric_history(row["run_id"], measure.metric)
            assert dict(enumerate(curve)) == {point.step: float(f"{point.value:.3e}") for point in history}


def test_animations_of_the_chosen_methods(report: Report) -> None:
    assert [(animation.dataset, animation.method, animation.depth) for animation in report.animations] == [
        ("csbm", method, 4) for method in ("GCN", "GCNII", DIVERGED)
    ]
    for animation in report.animations:
        assert animation.points.shape == (5, NODES, 2)
        assert np.isfinite(animation.points).all()
        assert np.bincount(animation.y).tolist() == [NODES // 2, NODES // 2]


@pytest.mark.parametrize("outcome", ["failed", "missing"])
def test_a_run_without_a_result_keeps_its_row(store: Store, outcome: str) -> None:
    run = store.run("GCN + DropEdge", 4, 1)
    if outcome == "failed":
        store.client.set_tag(run.run_id, "outcome", "failed")
    else:
        store.client.delete_run(run.run_id)
    runs = store.report().runs
    assert len(runs) == len(METHODS) * len(DEPTHS) * len(SEEDS)
    (row,) = runs[runs["outcome"] == outcome].to_dict("records")
    assert (row["method"], row["depth"], row["seed"]) == ("GCN + DropEdge", 4, 1)
    assert outcome == "missing" or (row["model"], row["p_drop"]) == ("gcn", 0.5)  # still a run with DropEdge
    assert pd.isna([row["verdict"], row["run_id"], row["test_acc"], row["seconds"], row["dirichlet_energy"]]).all()


def again(store: Store, outcome: str, method: str = "GCN", depth: int = 2, **metrics: float) -> str:
    """A later run of a run of seed 0, which kept no states; returns its id."""
    old = store.run(method, depth, 0)
    kept = {key: old.tags[key] for key in ("config_hash", "data_hash", "model", "command_line")}
    client, start = store.client, int(time.time() * 1000) + 60_000
    run = client.create_run(store.records.experiment_id, start_time=start, tags=kept | {"outcome": outcome})
    for name, value in metrics.items():
        client.log_metric(run.info.run_id, name, value)
    return str(run.info.run_id)


def test_a_method_whose_run_kept_no_states_is_named(
    store: Store, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = store.report()
    animation, *others = before.animations
    again(store, "finished", animation.method, animation.depth)
    after = store.report()
    name = f"{animation.method} with {animation.depth} layers on {animation.dataset}"
    assert (before.without_states, list(after.without_states)) == ({}, [name])
    assert (before.other_code, after.other_code) == (0, 1)  # the later run has no hash
    assert len(after.animations) == len(others)
    write_report(store.records, STUDY)
    again_ = f'to add it: depthlab train {after.without_states[name]} "tracking.artifacts=['
    error = capsys.readouterr().err
    assert f"{name} is not in the animation" in error and again_ in error
    assert f"1 of {len(after.runs)} runs were computed by another version of the code: " in error


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=gat", "rewiring=fosr", "lr_scheduler=cosine"],
        ["model=module", "model.target=torch_geometric.nn.models.GraphSAGE"],
        ["loader=cluster", "logger=[mlflow,csv,tensorboard]", "callbacks=device_stats"],
    ],
)
def test_the_present_code_of_a_run_made_just_now(overrides: list[str]) -> None:
    settings = compose_settings(overrides)
    params = {name: str(value) for name, value in flatten(to_dict(settings)).items()}
    assert _present_code(params) == code_hash(settings.targets)


@pytest.mark.parametrize("outcome", ["finished", "failed", "interrupted"])
def test_the_latest_result_counts(store: Store, outcome: str) -> None:
    old = store.run("GCN", 2, 0)
    new = again(store, outcome, test_acc=0.123)
    runs = store.report().runs
    (row,) = runs[(runs["method"] == "GCN") & (runs["depth"] == 2) & (runs["seed"] == 0)].to_dict("records")
    assert row["outcome"] == "finished"
    expected = (new, 0.123) if outcome == "finished" else (old.run_id, old.metrics["test_acc"])
    assert (row["run_id"], row["test_acc"]) == expected


def test_roc_auc_is_a_column_only_where_the_study_has_it(store: Store) -> None:
    client = store.client
    other = client.create_run(
        store.records.experiment_id, tags={"config_hash": "c", "data_hash": "d", "outcome": "finished"}
    )
    client.log_metric(other.info.run_id, "test_roc_auc", 0.9)  # of another study
    assert "test_roc_auc" not in store.report().runs
    client.log_metric(store.run("GCNII", 4, 2).run_id, "test_roc_auc", 0.75)
    runs = store.report().runs
    assert runs["test_roc_auc"].dropna().tolist() == [0.75]


@pytest.mark.parametrize("name", ["tiny", "smal", "it's"])
def test_an_unknown_study_is_told_from_those_there_are(recorded: Store, name: str) -> None:
    with pytest.raises(
        UserError, match=rf"there is no record of a study named {name} in .*: choose one of {STUDY}, or run it"
    ):
        read_report(recorded.records, name)


def test_an_empty_store_has_no_study(store: Store) -> None:
    empty = type(store.records)(store.uri, f"{EXPERIMENT}-2")
    with pytest.raises(UserError, match=r": no study is recorded there yet, run it with depthlab study study=small$"):
        read_report(empty, STUDY)


def parent(store: Store, method: str) -> Recorded:
    """The run of a method, above its runs."""
    (run,) = store.records.runs(f"tags.kind = 'study' and tags.method = '{method}'")
    return run


def test_methods_keep_their_order_when_one_is_made_anew(store: Store) -> None:
    old = parent(store, "GCN")
    store.client.delete_run(old.run_id)
    new = store.client.create_run(store.records.experiment_id, tags=old.tags)
    store.client.log_text(new.info.run_id, (grid_of(store, old.run_id)), "grid.json")
    assert list(dict.fromkeys(store.report().runs["method"])) == list(METHODS)


def grid_of(store: Store, run_id: str) -> str:
    return Path(store.client.download_artifacts(run_id, "grid.json")).read_text()


def test_a_study_without_its_list_of_runs(store: Store) -> None:
    client, records = store.client, store.records
    tags = {"kind": "study", "study": "bare", "dataset": "csbm", "method": "GCN", "outcome": "running"}
    client.create_run(records.experiment_id, tags=tags)
    client.create_run(records.experiment_id, tags=tags | {"method": "GCNII"})
    with pytest.raises(UserError, match=r"the report of bare .* cannot be read for GCN on csbm, GCNII on csbm;"):
        read_report(records, "bare")
