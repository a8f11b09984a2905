"""Names of metrics and tags in MLflow.

The prefix before the slash names the step of a metric, and MLflow's UI groups charts by prefix:

- `depth/test_acc`: parent run of a method in a study
- `epoch/train_loss`: losses and scores
- `hop/sensitivity`: measures by distance between nodes
- `layer/dirichlet_energy`: measures of the state after each layer
- no prefix: scores of the selected epoch, `test_acc` or `best_val_acc`, for filters such as `metrics.test_acc > 0.8`

All other numbers of a run are tags, such as `best_epoch`, `base_edges`, `rewiring/edges_added`, and `chance`, the score
of the best guess on the training nodes (`chance_test`: on the test nodes). A sweep records `best/val_acc`,
`value/val_acc` and `importance/lr` (step = trial). A trial records `mean/val_acc` and, for each of its trainings,
`split0-s1/val_acc` (step = epoch).
"""

from collections.abc import Iterable, Mapping

EPOCH, DEPTH = "epoch/", "depth/"
RENAMED = "line, now method; train_loss, now epoch/train_loss"  # names of older versions


def by_epoch(scores: Mapping[str, float]) -> dict[str, float]:
    """`{"epoch/train_loss": ...}` for `{"train_loss": ...}`."""
    return {f"{EPOCH}{name}": value for name, value in scores.items()}


def are_outdated(metrics: Iterable[str]) -> bool:
    """Whether metrics have the names of an older version: `train_loss` by epoch, `test_acc_by_depth` by depth."""
    return any(name == "train_loss" or name.endswith("_by_depth") for name in metrics)
