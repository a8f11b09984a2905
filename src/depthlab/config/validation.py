"""Check the settings and raise an error for the first that is not allowed. Imports nothing heavy."""

from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from depthlab.config.errors import UserError
from depthlab.config.files import config_file, option_names
from depthlab.config.limits import DROP_STEPS, Limit, check_text, is_drop_probability, shown, within
from depthlab.config.modules import MODULE, check_target
from depthlab.config.options import check_list, check_values, read_option
from depthlab.config.overrides import check_runs
from depthlab.config.schema import (
    GROUPS,
    LIKE,
    LIST_GROUPS,
    LISTED,
    OPTION_GROUPS,
    RUN_LIMITS,
    Settings,
    allowed_values,
)
from depthlab.config.settings import parse
from depthlab.data.sizes import FORM, are_sizes
from depthlab.tasks.task import check_task
from depthlab.training.replica_settings import obstacle, replica_settings

DROPPING = ("p_drop", "dropout")


def validate(config: DictConfig, choices: dict[str, str]) -> Settings:
    """The settings of a config, after a check of every range, every option and the types of an option's settings.

    Args:
        config: the composed config.
        choices: which option each config group has (`hydra.runtime.choices`).

    Raises:
        UserError: a setting is not allowed; the message names the first one and its allowed values.
    """
    for group in GROUPS:
        chosen = choices.get(group)
        if chosen is None or chosen not in option_names(group):
            available = ", ".join(option_names(group))
            what = f"{group} cannot be removed" if chosen is None else f"there is no {group} {chosen}"
            raise UserError(f"{what}: choose one of {available}")
    _check_recipe(config, choices)
    for key in _names(config):
        if key not in RUN_LIMITS:
            raise UserError(f"there is no setting {key}: `depthlab train --help` lists them")
    check_limits(config, RUN_LIMITS)
    for key in DROPPING:
        if not is_drop_probability(config[key]):
            half, got = 2 * DROP_STEPS, f"because masks have steps of 1/{DROP_STEPS}, got {config[key]}"
            raise UserError(f"{key} must be 0 or above 1/{half} and below {half - 1}/{half}, {got}")
    for key, options in LISTED.items():
        for value in OmegaConf.select(config, key):
            if value not in options():
                raise UserError(f"{key} must be a list of {', '.join(options())}, got {shown(value)}")
    for group in OPTION_GROUPS:
        check_values(group, OmegaConf.to_container(config[group], resolve=True), read_option(group, choices[group]))
    for group in LIST_GROUPS:
        check_list(group, OmegaConf.select(config, group))
    if not config.logger:
        raise UserError(f"a run has to be recorded: choose one or more of logger={','.join(option_names('logger'))}")
    if "path" in config.dataset and not config.dataset.path:
        what, path = ("the folder", "FOLDER") if "path_files" in config.dataset else ("a file, or a folder", "PATH")
        raise UserError(f"dataset={choices['dataset']} needs {what}: add dataset.path={path}")
    if config.dataset.get("hash_tensors") and not config.dataset.name:
        raise UserError("dataset=pyg needs a class of torch_geometric.datasets: add dataset.name=KarateClub")
    settings = parse(config, choices)
    if settings.model.target == MODULE:
        _check_module(settings)
    _check_dataset(settings)
    if settings.loader.name == "cluster":
        _check_cluster(settings)
    if settings.replicas > 1:
        check_runs([settings.replicas], settings.max_runs, f"replicas={settings.replicas}")
        if problem := obstacle(settings):
            raise UserError(problem)
        replica_settings(settings)
    _check_trainer(settings)
    return settings


def has_own_path(config: DictConfig, choices: dict[str, str]) -> bool:
    """Whether the dataset's yaml does not identify the graph, because dataset.path is unset or differs from it."""
    option = read_option("dataset", choices["dataset"])
    return option["name"] is None or bool(config.dataset.get("path") != option.get("path"))


def _check_recipe(config: DictConfig, choices: dict[str, str]) -> None:
    """Check that the recipe exists and belongs to this graph."""
    dataset, like = choices["dataset"], choices.get("like", "none")
    if like != "none":
        if "path" not in config.dataset and read_option("dataset", dataset)["name"] is not None:
            raise UserError(f"like={like} is only for a graph of your own, not for dataset={dataset}: leave like out")
        if missing := [key for key in LIKE if key not in read_option("dataset", like)]:
            raise UserError(f"like={like} has no {' and '.join(missing)} to use: choose a dataset with one graph")
    if choices["recipe"] != "tuned":
        return
    if like == "none" and has_own_path(config, choices):
        raise UserError(
            f"recipe=tuned is for a named dataset, and dataset={dataset} may be any graph: write conf/dataset/NAME.yaml"
            " with this path to keep a recipe for it, or add like=NAME to take that of another dataset"
        )
    pair = f"{dataset if like == 'none' else like}-{choices['model']}"
    if not config_file("recipe/tuned", pair).is_file():
        how = f"find one with `depthlab sweep model={choices['model']} dataset={choices['dataset']}`"
        raise UserError(f"there is no tuned recipe for {pair}: {how}, or leave recipe out")


def check_limits(config: DictConfig, limits: dict[str, tuple[Any, Limit]]) -> None:
    """Raise UserError for the first of `limits` that is not set or out of its range."""
    for key, (kind, limit) in limits.items():
        value = OmegaConf.select(config, key)
        if value is None and kind in (int, float, bool, str, list[str]):
            raise UserError(f"{key} cannot be removed: set it")
        if value is not None and limit is not None and not within(value, limit):
            raise UserError(f"{key} must be {allowed_values(key)}, got {shown(value)}")
        for text in value if isinstance(value, ListConfig) else [value]:
            check_text(key, text)


def _names(config: DictConfig, prefix: str = "") -> list[str]:
    """Dotted names of all settings, without those of the option groups."""
    names: list[str] = []
    for key in map(str, config):
        node = config._get_node(key)
        if isinstance(node, DictConfig) and prefix + key not in RUN_LIMITS and prefix + key != "hydra":
            names += _names(node, f"{prefix}{key}.")
        elif prefix + key != "hydra":
            names.append(prefix + key)
    return names


def _check_dataset(settings: Settings) -> None:
    check_task(settings.dataset, settings.metrics, settings.monitor)
    sizes = settings.dataset.random_split
    if sizes is not None and not are_sizes(sizes):
        raise UserError(f"dataset.random_split must be {FORM}, got {shown(sizes)}")
    splits, split = settings.dataset.splits, settings.split
    known = [str(name) for name in range(splits)] if isinstance(splits, int) else list(splits)
    if isinstance(splits, int) and splits == 0:  # the number of splits is in the user's own file
        if not (split.isdigit() or split == "random"):
            source = settings.dataset.path or settings.dataset.label
            raise UserError(f"split must be random or the number of a split in {source}, got {split}")
    elif split not in known:
        allowed = f"one of {', '.join(known)}" if len(known) > 1 else known[0]
        raise UserError(f"split must be {allowed} for dataset={settings.dataset.name}, got {split}")


def _check_module(settings: Settings) -> None:
    """Check the class of model=module, and refuse settings that need to call layers one by one."""
    model = settings.model
    check_target(model.module)
    name = model.label
    if not all(isinstance(key, str) and key.isidentifier() for key in model.arguments.get("args", {})):
        raise UserError(f"model.args must hold arguments of {name}: write model.args.NAME=VALUE")
    for key, value in model.arguments.get("names", {}).items():
        if not all(isinstance(word, str) and word.isidentifier() for word in value):
            raise UserError(f"model.names.{key} must be a list of names of arguments, got {value}")
    layers = model.arguments.get("layers")
    if not isinstance(layers, str | None):
        raise UserError(f"model.layers must be a pattern of names such as blocks.*, got {layers}")
    if settings.memory == "checkpoint":
        raise UserError(f"the layers of {name} cannot be recomputed one by one: use memory=full")
    if settings.norm != "none":
        raise UserError(f"norm is for architectures of depthlab: leave it out, {name} may have a norm in model.args")
    if settings.weight_decay_linear != settings.weight_decay:
        raise UserError(f"all parameters of {name} have weight_decay: leave weight_decay_linear out")
    if settings.p_drop > 0 and settings.drop_edge.per_layer:
        raise UserError(f"all layers of {name} get the same edges: use drop_edge.per_layer=false")
    if settings.rewiring.layers == "last":
        raise UserError(f"all layers of {name} get the same edges: use rewiring.layers=all")


def _check_cluster(settings: Settings) -> None:
    """Check the settings that loader=cluster does not support."""
    parts, batch = settings.loader.parts, settings.loader.batch_parts
    assert parts is not None and batch is not None, "conf/loader/cluster.yaml sets both"
    if batch > parts:
        raise UserError(f"loader.batch_parts must be at most loader.parts={parts}, got {batch}")
    if settings.dataset.has_many_graphs:
        raise UserError(f"loader=cluster needs one graph, but {settings.dataset.name} has many: leave it out")
    if settings.rewiring.name != "none":
        raise UserError("loader=cluster trains on the data's own edges: use rewiring=none")
    if settings.p_drop > 0 and settings.drop_edge.mode == "renormalize":
        raise UserError("a part of a graph has no degrees to normalise by afresh: use drop_edge.mode=rescale")


def _check_trainer(settings: Settings) -> None:
    """Check that the settings of the trainer fit the other settings."""
    trainer, loader = settings.trainer, settings.loader
    processes = trainer.processes
    if trainer.strategy == "single" and processes > 1:
        key = "devices" if trainer.devices > 1 else "num_nodes"
        raise UserError(
            f"trainer.{key}={getattr(trainer, key)} needs trainer=ddp: otherwise one process trains on one device"
        )
    if trainer.strategy == "ddp" and loader.name != "cluster":
        raise UserError("trainer=ddp shares out the parts of one large graph: add loader=cluster, or use trainer=cpu")
    if trainer.strategy == "ddp" and (loader.batch_parts or 0) < processes:
        each = f"a part for each of the {processes} processes of trainer=ddp"
        raise UserError(f"loader.batch_parts must be at least {processes}, {each}, got {loader.batch_parts}")
    if trainer.strategy == "ddp" and settings.norm in ("batch", "pair"):
        raise UserError(
            f"norm={settings.norm} takes its statistics of all nodes, a process of trainer=ddp has some: use norm=layer"
        )
    if trainer.strategy == "ddp" and settings.model.arguments.get("solver") == "dopri5":
        raise UserError(
            "an adaptive solver that is stuck in one process keeps the others waiting: use model.solver=rk4"
        )
