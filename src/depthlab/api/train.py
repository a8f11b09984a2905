"""`dl.train`: run `depthlab train` from Python."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from depthlab.api.arguments import dataset_settings, model_settings
from depthlab.api.contexts import preserve_process_state
from depthlab.api.run import Run
from depthlab.config.command_line import for_hydra
from depthlab.config.compose import compose
from depthlab.config.errors import UserError
from depthlab.config.overrides import override_of
from depthlab.config.provenance import provenance, untuned
from depthlab.training.command import checked
from depthlab.training.identity import checkpoint_folder, resumable


def train(
    model: Any = None,
    depth: int | None = None,
    dataset: Any = None,
    overrides: Sequence[str] = (),
    **settings: Any,
) -> Run:
    """Train, test, measure and record one run, like `depthlab train` with the same settings.

    `dl.train(model="gcnii", depth=64, dataset="cora")` is `depthlab train model=gcnii depth=64 dataset=cora`: the same
    defaults and recipe, the same record with the same hashes, and the same checkpoints, in the current folder or in
    the folder `DEPTHLAB_HOME`. `depthlab train` finds these runs and checkpoints, and vice versa.

    Args:
        model: name of an architecture, an option of `depthlab train --help`; or any network with
            `forward(x, edge_index)`: its class, its dotted name, or `my_net.py:Net`. A class must be importable, so
            that the run can be reproduced: define it in a file, not in a notebook cell.
        depth: number of layers.
        dataset: name of a dataset; or a graph in memory with features and targets: a PyG `Data` or dataset of one
            graph, a mapping with the tensors of a `Data`, a networkx graph (`depthlab.data.convert.to_dataset`); or
            many graphs: a list of `Data`, a PyG dataset, or a mapping of the lists `train`, `val` and `test`, of which
            a training step takes `dataset.batch_size`, 64 by default. They are saved as `graphs/graph-HASH.pt` or
            `graphs-HASH.pt` in the project folder and read with `dataset=pt`. Without masks the splits are drawn.
        overrides: further settings as typed on the command line, such as `["drop_edge.per_layer=true"]`.
        settings: further settings by name; those of a group as `tracking={"uri": ...}` or `**{"tracking.uri": ...}`.

    Returns:
        The run: its scores, curves by layer and verdict.

    Raises:
        UserError: a setting is invalid, or the data, the store or the disk cannot be used. The message says what to do.
        KeyboardInterrupt: Ctrl-C. The run is recorded as interrupted, and `ckpt="last"` resumes it.
    """
    with preserve_process_state():
        given = ({} if model is None else model_settings(model)) | ({} if depth is None else {"depth": depth})
        given |= settings | ({} if dataset is None else dataset_settings(dataset, settings))
        words = for_hydra([*_overrides(given), *overrides])
        config, choices = compose("config", words)
        made = checked(config, choices, words)
        if made.replicas > 1:
            raise UserError("dl.train trains one run: leave replicas out, and call it once for each seed")
        if made.trainer.strategy == "ddp":
            raise UserError("dl.train trains in this process: use torchrun and `depthlab train` for trainer=ddp")
        sources = provenance(made, choices, words)
        if notice := untuned(made, sources):
            print(notice, file=sys.stderr)
        resumable(made.ckpt, checkpoint_folder(made), made.model.module)
        from depthlab.training.run import run

        return Run(run(made, sources), made)


def _overrides(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Settings as typed on a command line, `key=value`."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _overrides(value, f"{prefix}{key}.")
            continue
        value = value.item() if hasattr(value, "item") else str(value) if isinstance(value, Path) else value
        if isinstance(value, list | tuple) and not all(isinstance(item, str) for item in value):
            yield f"{prefix}{key}=[{','.join(map(str, value))}]"
        else:
            yield override_of(prefix + key, list(value) if isinstance(value, tuple) else value)
