"""Tables of measures by layer."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from depthlab.measures.registry import MEASURES

if TYPE_CHECKING:
    import pandas as pd


def by_layer(curves: Mapping[str, Sequence[float]]) -> "pd.DataFrame":
    """A row for each layer and a column for each measure; a curve that ends early is padded with NaN."""
    import pandas as pd

    known = {name: list(curve) for name, curve in curves.items() if curve and MEASURES[name].axis == "layer"}
    layers = pd.RangeIndex(max(map(len, known.values()), default=0), name="layer")
    return pd.DataFrame({name: pd.Series(curve, dtype=float) for name, curve in known.items()}, index=layers)
