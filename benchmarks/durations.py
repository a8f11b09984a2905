"""`python -m benchmarks.durations`: the table of costs with which a study estimates its time, study/costs.json.

Every architecture is timed on two graphs of `dataset=csbm` at two depths, one training step and one evaluation, on one
thread: the least of several rounds. Three costs are fitted to the four numbers: of a step, of a layer in it, and of an
entry of the layer's state.
"""

import json
import time
import warnings

import numpy as np
import torch

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.files import option_names
from depthlab.data.prepare import load
from depthlab.study.estimate import COSTS
from depthlab.training.experiment import experiment

NODES, DEPTHS, HIDDEN, ROUNDS = (300, 3000), (2, 8), 64, 7


def epoch_seconds(model: str, nodes: int, depth: int) -> float:
    """The least time of a training step and an evaluation."""
    words = [f"model={model}", "dataset=csbm", f"dataset.nodes={nodes}", f"depth={depth}", f"hidden={HIDDEN}"]
    made = experiment(compose_settings([*words, "memory=full", "progress=false"]))
    module, batches, times = made.module, made.batches, []
    optimizer = module.make_optimizer()
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for graph in batches:
            optimizer.zero_grad()
            module.train().training_step(graph).backward()
            optimizer.step()
        module.eval()
        with torch.inference_mode():
            module.validation_step(batches.validation)
        times.append(time.perf_counter() - start)
    return min(times)


def costs(model: str) -> list[float]:
    """Seconds of a step, of a layer and of an entry of a state, none below zero."""
    points = [(nodes, depth) for nodes in NODES for depth in DEPTHS]
    amounts = np.array([[1, depth, depth * nodes * HIDDEN] for nodes, depth in points], float)
    seconds = np.array([epoch_seconds(model, *point) for point in points])
    found, *_ = np.linalg.lstsq(amounts / seconds[:, None], np.ones(len(points)))  # relative errors count
    return [float(f"{max(0.0, value):.2g}") for value in found]


def main() -> None:
    """Measure and write the table."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    models = {model: costs(model) for model in option_names("model") if model != "module"}
    nodes = {}
    for name in option_names("dataset"):
        try:
            settings = compose_settings([f"dataset={name}"]).dataset
            nodes[name] = load(settings)[0].num_nodes
        except UserError:  # it needs files that are not here
            continue
    rows = [f"    {json.dumps(model)}: {json.dumps(values)}" for model, values in models.items()]
    table = ",\n".join(rows)
    COSTS.write_text(f'{{\n  "models": {{\n{table}\n  }},\n  "nodes": {json.dumps(nodes)}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
