"""The predictions of a network for the nodes of a graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Prediction:
    """The outputs of a network, one row for each node, or for each graph if targets are of graphs.

    Attributes:
        output: float32 (n, channels): logits, or the predicted values (n, 1) of a regression.
        is_classification: whether the outputs are logits.
        node_names, class_names: names of the rows and of the classes; by default their indices.
        unit: meaning of a row, `node` or `graph`.
    """

    output: Tensor
    is_classification: bool = True
    node_names: Sequence[str] | None = None
    class_names: Sequence[str] | None = None
    unit: str = "node"

    @property
    def probabilities(self) -> Tensor:
        """Probability of each class, (n, classes): the softmax of the logits.

        Raises:
            ValueError: the outputs are numbers, not logits.
        """
        if not self.is_classification:
            raise ValueError("a regression has no probabilities: read `values`")
        return self.output.softmax(-1)

    @property
    def classes(self) -> Tensor:
        """The most probable class, int64 (n,).

        Raises:
            ValueError: as `probabilities`.
        """
        return self.probabilities.argmax(-1)

    @property
    def values(self) -> Tensor:
        """The predicted numbers of a regression, float32 (n,).

        Raises:
            ValueError: the outputs are logits.
        """
        if self.is_classification:
            raise ValueError("a classification has no values: read `classes` or `probabilities`")
        return self.output[:, 0]

    def to_frame(self) -> "pd.DataFrame":
        """Columns `node`, `class` and `p_CLASS` for each class; `node` and `value` for a regression."""
        import pandas as pd

        rows = range(len(self.output)) if self.node_names is None else self.node_names
        frame = pd.DataFrame({self.unit: list(rows)})
        if not self.is_classification:
            return frame.assign(value=self.values.numpy())
        names = list(range(self.output.shape[1])) if self.class_names is None else list(self.class_names)
        frame["class"] = [names[number] for number in self.classes.tolist()]
        probabilities = pd.DataFrame(self.probabilities.numpy(), columns=[f"p_{name}" for name in names])
        return pd.concat([frame, probabilities], axis=1)

    def __repr__(self) -> str:
        return repr(self.to_frame())

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(max_rows=20))
