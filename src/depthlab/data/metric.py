"""Whether the score of a dataset is defined on every part of a split."""

from typing import Any

from depthlab.config.errors import UserError
from depthlab.data.dataset import Dataset
from depthlab.data.graph_set import GraphSet

PARTS = ("training", "validation", "test")


def check_metric(dataset: Dataset | GraphSet, settings: dict[str, Any]) -> None:
    """Refuse ROC-AUC on a split where all nodes of a part have the same class: ROC-AUC is undefined there.

    Args:
        settings: as for `depthlab.training.run.run`.

    Raises:
        UserError: a part has only one class, or as `Dataset.parts`.
    """
    if settings["dataset"]["metric"] != "roc_auc":
        return
    split, seed = settings["split"], settings["split_seed"]
    for name, nodes in zip(PARTS, dataset.parts(split, seed), strict=True):
        classes = dataset.y[nodes].unique().tolist()
        if len(classes) == 1:
            which = f"split=random split_seed={seed}" if split == "random" else f"split={split}"
            raise UserError(
                f"ROC-AUC is undefined on the {name} part of {which}, which has only class {classes[0]}:"
                " use a split with both classes in every part, or dataset.metric=accuracy"
            )
