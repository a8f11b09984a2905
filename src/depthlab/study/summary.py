"""What a study prints: the plan at the start, the results by method at the end."""

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from depthlab.statistics import n_of_m
from depthlab.study.methods import Method, by_depth, methods_of
from depthlab.study.plan import Plan
from depthlab.tasks.metrics import METRICS
from depthlab.text import printable
from depthlab.tracking.search import Records
from depthlab.tracking.ui import how_to_compare


def listing(name: str, plan: Plan, seconds: float, jobs: int) -> str:
    """Every method with its depths, and the number of runs that are done and left."""
    todo = {run.hash for run in plan.todo}
    rows = [f"study {name}: {len(plan.runs)} runs, {len(plan.done)} done, {len(todo)} to do"]
    for method in methods_of(plan.runs):
        counts = sorted(Counter(run.depth for run in method.runs).items())
        parts = []
        for count, alike in groupby(counts, key=lambda item: item[1]):
            depths = ", ".join(str(depth) for depth, _ in alike)
            parts.append(f"depth {depths}, {count} {'runs' if count > 1 else 'run'} each")
        left = sum(run.hash in todo for run in method.runs)
        state = f"{left} of {len(method.runs)} to do" if left else "done"
        rows.append(f"  {method.dataset} {method.label}: {', '.join(parts)}; {state}")
    if todo:
        rows.append(f"  about {duration(seconds)} with jobs={jobs}")
    if todo and plan.earlier:
        rows.append(
            f"  {plan.earlier} results of an earlier version are recorded: its code was different, none is used"
        )
    return "\n".join(map(printable, [*rows, *_other_code(plan)]))


def results(name: str, methods: Sequence[Method], plan: Plan, records: Records) -> str:
    """Mean test score with its 95 % interval, and the verdicts, by depth."""
    rows = [f"study {name}: test scores, mean and 95 % interval over seeds and splits"]
    for method in methods:
        metric = method.runs[0].settings.dataset.metric
        rows.append(f"  {method.dataset} {method.label}, {METRICS[metric].quantity}")
        points = by_depth(method, plan)
        scores = {depth: _score(point, metric) for depth, point in points.items()}
        width = max(map(len, scores.values()))
        rows += [
            f"    depth {depth:4}: {scores[depth]:{width}}  {point['verdicts']}" for depth, point in points.items()
        ]
    if plan.todo:
        rows.append(f"  {len(plan.todo)} runs failed: the same command tries them again")
    rows += _other_code(plan)
    rows.append(f"  to see it         {how_to_compare(records.uri, records.experiment_id, name)}")
    usual = os.environ.get("MLFLOW_EXPERIMENT_NAME", "depthlab")  # where `depthlab report` looks
    elsewhere = "" if records.experiment == usual else f" tracking.experiment={shlex.quote(records.experiment)}"
    rows.append(f"  as a report       depthlab report study={name}{elsewhere}")
    return "\n".join(map(printable, rows))


def _other_code(plan: Plan) -> list[str]:
    used = len(plan.other_code & plan.done.keys())
    left = len(plan.other_code) - used
    other = "results were computed by another version of the code"
    rows = [f"  {used} {other}: reuse=same_code trains them again"][: used > 0]
    return rows + [f"  {left} {other}: none is used"][: left > 0]


def _score(point: dict[str, Any], metric: str) -> str:
    """`81.9 (81.7 to 82.1, 9 of 10)`: the mean, its interval if there is one, and the number of runs if some lack."""
    name, factor, digits = f"test_{metric}", METRICS[metric].factor, METRICS[metric].digits
    runs = point.get(f"{name}_runs", point["runs"] if name in point else 0)
    details = []
    if f"{name}_low" in point:
        details.append(" to ".join(f"{factor * point[f'{name}_{end}']:{digits}}" for end in ("low", "high")))
    details += [missing] if (missing := n_of_m(runs, point["runs"])) else []
    mean = f"{factor * point[name]:{digits}}" if name in point else "none"
    return f"{mean} ({', '.join(details)})" if details else mean


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `1 h 20 min`."""
    seconds = max(0.0, seconds)
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
