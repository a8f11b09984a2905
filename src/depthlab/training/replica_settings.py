"""The runs that `replicas` expands to, and the settings that replicas do not support. Imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from depthlab.config.errors import UserError
from depthlab.config.schema import Settings

SEEDS = 1 << 32
# elementwise optimizers
ELEMENTWISE = {f"torch.optim.{name}" for name in ("Adam", "AdamW", "Adamax", "SGD")}


def varied(settings: Settings) -> str:
    """The setting in which replicas differ: `seed`, `split`, or `split_seed` of random splits.

    Raises:
        UserError: there is only one split.
    """
    numbered, random = settings.split.isdigit(), settings.split == "random"
    if settings.replicate == "seed" or (settings.replicate == "auto" and not numbered):
        return "seed"
    if not (numbered or random):
        name = settings.dataset.label
        raise UserError(f"replicate=split needs several splits, {name} has {settings.split}: use replicate=seed")
    return "split" if numbered else "split_seed"


def replica_settings(settings: Settings) -> list[Settings]:
    """The settings of each replica, as for a run on its own.

    Raises:
        UserError: there are fewer splits or seeds than replicas.
    """
    count, key = settings.replicas, varied(settings)
    first, available = int(getattr(settings, key)), SEEDS
    if key == "split" and isinstance(settings.dataset.splits, int):
        available = settings.dataset.splits or SEEDS  # 0: the number of splits is in the user's own file
    if first + count > available:
        raise UserError(
            f"replicas={count} from {key}={first} on needs {key}={first + count - 1}, the last is {available - 1}:"
            " use fewer" + ("" if key != "split" else ", or replicate=seed")
        )
    single = replace(settings, replicas=1, replicate="auto")
    values: list[Any] = [str(value) if key == "split" else value for value in range(first, first + count)]
    return [replace(single, **{key: value}) for value in values]


def replica_provenance(provenance: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The provenance of each setting of a replica; the setting in which replicas differ counts as an override."""
    return dict(provenance) | {varied(settings): "command line", "replicas": "default", "replicate": "default"}


def obstacle(settings: Settings) -> str | None:
    """Why replicas of any architecture do not support these settings, and what to do instead; None if they do."""
    trainer = settings.trainer
    if settings.model.module:
        return f"{settings.model.label} cannot be trained as replicas, whose weights are stacked: leave replicas out"
    if settings.dataset.has_many_graphs:
        return f"replicas need one graph, but {settings.dataset.label} has many: leave replicas out"
    if settings.loader.name != "full":
        return "replicas need the full graph at every step: use loader=full, or leave replicas out"
    if settings.norm != "none":
        return f"norm={settings.norm} would mix replicas: use norm=none, or leave replicas out"
    if settings.memory == "checkpoint":
        return "replicas do not support memory=checkpoint: use memory=full, or leave replicas out"
    if trainer.accelerator != "cpu" or trainer.strategy != "single":
        return "replicas are trained by one process on the CPU: use trainer=cpu, or leave replicas out"
    if settings.optimizer.target not in ELEMENTWISE:
        known = ", ".join(sorted(name.rpartition(".")[2] for name in ELEMENTWISE))
        return (
            f"{settings.optimizer.target} may mix the weights of replicas: leave replicas out, or use one of"
            f" torch.optim's {known}"
        )
    if settings.lr_scheduler.name != "none":
        return "replicas share one constant learning rate: use lr_scheduler=none, or leave replicas out"
    if settings.callbacks:
        return "replicas do not run callbacks of Lightning: use callbacks=none, or leave replicas out"
    if any(str(option.target).endswith(".WandbLogger") for option in settings.logger.values()):
        return "Weights & Biases records one run at a time: leave replicas out, or wandb"
    if trainer.precision != "float32":
        return "replicas are trained in float32: leave trainer.precision out, or replicas"
    return None


def check_replicas(replicas: Any) -> None:
    """Raise UserError for a `replicas` of conf/study.yaml that is not allowed."""
    if replicas != "auto" and (type(replicas) is not int or replicas < 1):
        raise UserError(f"replicas must be auto or a whole number in [1, inf), got {replicas}")
