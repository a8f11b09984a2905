"""The numbers behind the lesson's sliders, which a study has measured, and the command that writes them.

    depthlab study study=alpha && python -m depthlab.lesson.measured alpha
    python -m depthlab.lesson.measured repulsion             from results/repulsion/runs.csv

The first reads the study from the records of the project folder.
"""

import json
import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from depthlab.files import write_json
from depthlab.folders import CHECKOUT

HERE = Path(__file__).parent
ALPHA = "depthlab study study=alpha && python -m depthlab.lesson.measured alpha"
REPULSION = "python -m depthlab.lesson.measured repulsion"
DIGITS = 4
RUNS = CHECKOUT / "results" / "repulsion" / "runs.csv"
Content = dict[str, Any]


def read(name: str) -> Content:
    """The numbers of `alpha` or `repulsion`.

    Returns:
        `command` that wrote them, `study`, `commit` of its runs, and
        of alpha: `dataset`, `depth`, `epochs`, `runs` for each point, and `points` with `alpha`, `test_acc` (mean),
        `rank` (after the last layer) and `quotient` (by layer, median), and `verdicts` with their counts;
        of repulsion: `depth`, `repulsion`, and `graphs` with `name`, `homophily`, `runs` and `test_acc` (mean) for
        each repulsion. Accuracies are fractions.
    """
    content: Content = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return content


def measure_alpha() -> Content:
    """The content of alpha.json, from the records."""
    from depthlab.report.runs import read_report
    from depthlab.tracking.search import Records
    from depthlab.tracking.store import store_uri

    records = Records(store_uri(None), "depthlab", create=False)
    report = read_report(records, "alpha")
    done = report.runs[report.runs["run_id"].notna()]
    whole = done.groupby("seed")["method"].transform("nunique") == report.runs["method"].nunique()
    done = done[whole]  # the same seeds at every point
    points = []
    for method, runs in done.groupby("method", sort=False):
        curves = [report.curves[run_id, "rayleigh_quotient"] for run_id in runs["run_id"]]
        points.append(
            {
                "alpha": float(str(method).partition("alpha=")[2]),
                "test_acc": float(runs["test_acc"].mean()),
                "rank": float(runs["effective_rank"].median()),
                "quotient": [statistics.median(layer) for layer in zip(*curves, strict=True)],
                "verdicts": dict(Counter(runs["verdict"])),
            }
        )
    depth, epochs = int(done["depth"].iloc[0]), int(done["epochs_run"].max())
    runs_each = int(done.groupby("method").size().min())
    shared = {"dataset": str(done["dataset"].iloc[0]), "depth": depth, "epochs": epochs, "runs": runs_each}
    return {"command": ALPHA, "study": "alpha", "commit": _commit(done)} | shared | {"points": points}


def measure_repulsion(path: Path = RUNS) -> Content:
    """The content of repulsion.json, from the committed runs of the study."""
    runs = pd.read_csv(path)
    strengths = sorted(runs["repulsion"].unique())
    graphs: list[Content] = []
    for name, group in runs.groupby("dataset", sort=False):
        means = group.groupby("repulsion")["test_acc"].mean()
        homophily, count = float(group["homophily"].median()), int(group.groupby("repulsion").size().min())
        scores = [float(means[one]) for one in strengths]
        graphs.append({"name": str(name), "homophily": homophily, "runs": count, "test_acc": scores})
    graphs.sort(key=lambda graph: graph["homophily"])
    known = {"depth": int(runs["depth"].iloc[0]), "repulsion": [float(one) for one in strengths]}
    return {"command": REPULSION, "study": "repulsion", "commit": _commit(runs)} | known | {"graphs": graphs}


def _commit(runs: pd.DataFrame) -> str:
    """The commit of most runs, shortened; `and others` if there are several."""
    commits = runs["git_commit"].value_counts()
    return f"{str(commits.index[0])[:12]}{' and others' if len(commits) > 1 else ''}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write_json(HERE / f"{name}.json", {"alpha": measure_alpha, "repulsion": measure_repulsion}[name](), DIGITS)
        print(HERE / f"{name}.json")
