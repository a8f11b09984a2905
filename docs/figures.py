"""The figure of README and of the front page, drawn from results/cora/runs.csv: `python -m docs.figures`."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

from depthlab.statistics import summarize
from docs.tables import ROOT, runs

FILE = ROOT / "docs" / "_static" / "collapse.png"
# Okabe and Ito's colours, which colour-blind readers can distinguish; markers and dashes distinguish them in grey
METHODS = {
    "GCNII": ("#0072B2", "o", "-"),
    "residual GCN": ("#E69F00", "s", "--"),
    "GCN": ("#D55E00", "^", "-."),
}


def draw(file: Path = FILE) -> None:
    """Test accuracy and Rayleigh quotient of the last state against depth, on Cora."""
    frame = runs("cora")
    depths = sorted(frame["depth"].unique())
    plt.rcParams |= {
        "font.size": 10,
        "font.family": "DejaVu Sans",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.1), layout="constrained")
    for method, (colour, marker, dash) in METHODS.items():
        groups = [frame[(frame["method"] == method) & (frame["depth"] == depth)] for depth in depths]
        style = {"color": colour, "marker": marker, "linestyle": dash, "label": method}
        means = [summarize(group["test_acc"].tolist()) for group in groups]
        left.errorbar(range(len(depths)), [100 * mean.mean for mean in means],
                      [100 * mean.half for mean in means], capsize=3, **style)  # fmt: skip
        right.plot(range(len(depths)), [np.median(group["rayleigh_quotient"]) for group in groups], **style)
    left.axhline(100 / 7, color="0.5", linewidth=0.8, linestyle=":")
    left.text(0, 100 / 7 + 2, "guessing", color="0.35", fontsize=9)
    left.set(title="test accuracy on Cora, %\n(mean of ten seeds, 95 % interval)", ylim=(0, 100))
    right.set(title="how different neighbours are\n(Rayleigh quotient, last layer)", yscale="log")
    for axes in (left, right):
        axes.set(xlabel="layers", xticks=range(len(depths)), xticklabels=depths)
        axes.grid(axis="y", linewidth=0.4, color="0.85")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    draw()
