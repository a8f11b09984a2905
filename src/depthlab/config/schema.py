"""What a person may set: types and limits. Imports nothing heavy."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from omegaconf import MISSING

from depthlab.config.limits import Limit
from depthlab.measures.registry import selectable

MAX_RUNS = 10_000  # limit on the runs of a command without a configuration of its own
GROUPS = ("model", "dataset", "rewiring", "loader", "trainer", "recipe")  # folders of conf/ with options of a run
LIKE = ("normalize_features", "task", "metric")  # settings that like=NAME copies from a named dataset to a user's graph
OWN_KNOBS = ("model", "dataset", "rewiring", "loader")  # groups whose options bring settings, and limits, of their own


def knob(limit: Limit = None) -> Any:
    """A setting without a default (defaults stand in conf/): an interval such as "[0, 1)", a list, or None."""
    return field(default=MISSING, metadata={"limit": limit})


@dataclass
class DropEdgeConfig:
    mode: str = knob(["renormalize", "rescale"])
    per_layer: bool = knob()


@dataclass
class TrackingConfig:
    uri: str | None = knob()
    experiment: str = knob()
    artifacts: list[str] = knob()


@dataclass
class TrainerConfig:
    accelerator: str = knob(["cpu", "gpu"])
    threads: int | None = knob("[1, 4096]")
    precision: str = knob(["float32", "bf16"])
    strategy: str = knob(["single", "ddp"])
    devices: int = knob("[1, 1024]")
    num_nodes: int = knob("[1, 65536]")


@dataclass
class Config:
    """Types and limits of conf/config.yaml; what each setting means is said there."""

    model: Any = knob()
    dataset: Any = knob()
    rewiring: Any = knob()
    loader: Any = knob()
    depth: int = knob("[1, 100000]")
    seed: int = knob("[0, 4294967295]")
    split: Any = knob()
    split_seed: int = knob("[0, 4294967295]")
    p_drop: float = knob("[0, 1)")
    drop_edge: DropEdgeConfig = field(default_factory=DropEdgeConfig)
    dropout: float = knob("[0, 1)")
    norm: str = knob(["none", "batch", "layer", "pair"])
    hidden: int = knob("[1, 1000000]")
    lr: float = knob("(0, inf)")
    weight_decay: float = knob("[0, inf)")
    weight_decay_linear: float = knob("[0, inf)")
    epochs: int = knob("[1, 100000000]")
    patience: int = knob("[1, 1000000000]")
    memory: str = knob(["auto", "full", "checkpoint"])
    replicas: int = knob("[1, inf)")
    replicate: str = knob(["auto", "seed", "split"])
    max_runs: int = knob("[1, inf)")
    metrics: list[str] | None = knob()
    monitor: str = knob()
    measures: list[str] = knob()
    ckpt: str | None = knob()
    checkpoint_every: int = knob("[1, 1000000000]")
    progress: bool = knob()
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


@dataclass
class StudyConfig:
    """Types and limits of conf/study.yaml; what each setting means is said there."""

    study: Any = knob()
    name: str | None = knob()
    jobs: int | None = knob("[1, 1024]")
    backend: str = knob(["processes", "dask"])
    scheduler: str | None = knob()
    only: list[str] | None = knob()
    replicas: Any = knob()
    reuse: str = knob(["any_code", "same_code"])
    max_runs: int = knob("[1, inf)")
    dry: bool = knob()


@dataclass
class SweepConfig:
    """Types and limits of conf/sweep.yaml; what each setting means is said there."""

    sweep: Any = knob()
    study_name: str | None = knob()
    trials: int = knob("[1, inf)")
    seeds: int | None = knob("[1, inf)")
    fresh: int | None = knob("[0, inf)")
    objective: Any = knob()
    sampler: str = knob(["tpe", "gp", "random", "grid"])
    sampler_seed: int = knob("[0, 4294967295]")
    pruner: str = knob(["median", "hyperband", "none"])
    max_runs: int = knob("[1, inf)")
    storage: str | None = knob()
    jobs: int | None = knob("[1, 1024]")
    backend: str = knob(["processes", "dask"])
    scheduler: str | None = knob()
    dry: bool = knob()


LISTED: dict[str, Callable[[], list[str]]] = {  # settings that hold a list -> the allowed items
    "measures": selectable,
    "tracking.artifacts": lambda: ["config", "figures", "model", "states"],
}


def _schema_limits(schema: type, prefix: str = "") -> dict[str, tuple[Any, Limit]]:
    found: dict[str, tuple[Any, Limit]] = {}
    for entry in fields(schema):
        if isinstance(entry.type, type) and entry.type.__name__.endswith("Config"):
            found |= _schema_limits(entry.type, f"{prefix}{entry.name}.")
        else:
            found[prefix + entry.name] = (entry.type, entry.metadata["limit"])
    return found


KNOBS = _schema_limits(Config)
STUDY_KNOBS = _schema_limits(StudyConfig)
SWEEP_KNOBS = _schema_limits(SweepConfig)
# settings that hold a word
WORDS = {key for key, (kind, _) in (KNOBS | STUDY_KNOBS | SWEEP_KNOBS).items() if kind in (str, str | None)}
WORDS |= {"dataset.path"}
LISTS = {key for key, (kind, _) in (KNOBS | STUDY_KNOBS | SWEEP_KNOBS).items() if kind in (list[str], list[str] | None)}


def allowed_values(key: str) -> str:
    """What a setting of the schema may be, in words."""
    known = STUDY_KNOBS | SWEEP_KNOBS | KNOBS
    if key not in known:
        return f"set by its parts, {', '.join(name for name in known if name.startswith(key + '.'))}"
    kind, limit = known[key]
    if isinstance(limit, list):
        return f"one of {', '.join(map(str, limit))}"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
    optional = {int | None: "a whole number or null", str | None: "a word or null"}
    name = words.get(kind) or optional.get(kind) or "a list of words" if kind != Any else "a valid value"
    return f"{name} in {limit}" if limit else str(name)
