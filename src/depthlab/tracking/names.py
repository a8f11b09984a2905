"""The names under which runs are recorded in MLflow.

What stands before the slash says what the steps of a metric count; MLflow's UI has a section of charts for each:

- `depth/test_acc`, of the parent run of a method in a study
- `epoch/train_loss`, losses and scores
- `hop/sensitivity`, measures by distance between nodes
- `layer/dirichlet_energy`, measures of the state after each layer
- without a slash: the scores of the selected epoch, `test_acc` or `best_val_acc`, for filters such as
  `metrics.test_acc > 0.8`

Every other number of a run, such as `best_epoch`, `chance`, `base_edges` or `rewiring/edges_added`, is a tag. A sweep
has `best/val_acc`, `value/val_acc` and `importance/lr` (step = trial), a trial `mean/val_acc` and, of each training,
`split0-s1/val_acc` (step = epoch).
"""

from collections.abc import Iterable, Mapping

EPOCH, DEPTH = "epoch/", "depth/"


def by_epoch(scores: Mapping[str, float]) -> dict[str, float]:
    """`{"epoch/train_loss": ...}` for `{"train_loss": ...}`."""
    return {f"{EPOCH}{name}": value for name, value in scores.items()}


def are_outdated(metrics: Iterable[str]) -> bool:
    """Whether these are the names of before: `train_loss` by epoch, `test_acc_by_depth` by depth."""
    return any(name == "train_loss" or name.endswith("_by_depth") for name in metrics)
