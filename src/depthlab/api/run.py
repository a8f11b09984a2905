"""A finished run, as `dl.train` returns it."""

import html
import math
from typing import TYPE_CHECKING, Any

from depthlab.api.tables import by_layer
from depthlab.config.schema import Settings
from depthlab.config.settings import to_dict
from depthlab.tracking.ui import run_link
from depthlab.training.identity import FINAL, checkpoint_folder
from depthlab.training.result import Result
from depthlab.training.summary import summary

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Run:
    """A finished run and its record.

    Attributes:
        run_id, name: ID in MLflow, and a name such as `cora-gcnii-d64-s0`.
        outcome: `finished` or `diverged`.
        uri, url: the tracking store, and the run page in MLflow (`depthlab ui` serves it if the store is a database).
            Both are empty without MLflow.
        checkpoint: the file with its weights, for `dl.load`.
        scores: `test_acc`, `best_val_acc`, `best_train_acc` and the like at the selected epoch, as fractions; losses
            are in nats. Empty if the run diverged.
        metric: name of the reported metric, such as `acc`.
        curves: the values of each measure by layer, from layer 0 (the input of the first layer) to the depth. A measure
            by hop has one value for each distance.
        statistics: other numbers that are recorded once, such as `epochs_run`, `seconds_per_epoch` and `chance`.
        verdict, evidence: what happened to the network, and the numbers that show it (`depthlab.measures.diagnosis`).
        settings: all settings of the run, nested.
    """

    def __init__(self, result: Result, settings: Settings) -> None:
        self._result = result
        self.run_id, self.name, self.outcome, self.uri = result.run_id, result.name, result.outcome, result.uri
        self.url = run_link(result.uri, result.experiment_id, result.run_id) if result.uri else ""
        self.checkpoint = checkpoint_folder(settings) / FINAL
        self.scores, self.metric, self.curves, self.statistics = (
            dict(result.scores), result.metric, dict(result.curves), dict(result.statistics),
        )  # fmt: skip
        self.verdict, self.evidence = result.diagnosis.verdict, result.diagnosis.evidence
        self.settings: dict[str, Any] = to_dict(settings)

    @property
    def test_acc(self) -> float:
        """Test accuracy as a fraction; NaN if it was not recorded."""
        return self.scores.get("test_acc", math.nan)

    def to_frame(self) -> "pd.DataFrame":
        """The measures by layer: a row for each layer, a column for each measure."""
        return by_layer(self.curves)

    def plot(self) -> "Figure":
        """A figure with a panel for each measure by layer. A notebook shows it, and `savefig` writes it to a file."""
        from depthlab.api.figure import layers

        return layers(self.curves, self.name)

    def __repr__(self) -> str:
        return summary(self._result)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>{self.to_frame().to_html(float_format='{:.4g}'.format)}"
