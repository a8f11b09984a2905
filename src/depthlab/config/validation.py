"""Whether settings are allowed: one sentence for the first that is not. Imports nothing heavy."""

from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from depthlab.config.errors import UserError
from depthlab.config.files import config_file, option_names
from depthlab.config.limits import DROP_STEPS, Limit, check_text, drops_as_said, shown, within
from depthlab.config.options import check_values, read_option
from depthlab.config.overrides import check_runs
from depthlab.config.schema import GROUPS, KNOBS, LIKE, LISTED, OWN_KNOBS, allowed_values
from depthlab.tasks.task import check_task
from depthlab.training.replica_settings import obstacle, replica_settings

DROPPING = ("p_drop", "dropout")


def validate(config: DictConfig, choices: dict[str, str]) -> None:
    """Check every range, every option and the types of the settings that options of groups bring.

    Args:
        config: the composed config.
        choices: which option each config group has (`hydra.runtime.choices`).

    Raises:
        UserError: the first setting that is not allowed, with what would be.
    """
    for group in GROUPS:
        chosen = choices.get(group)
        if chosen is None or chosen not in option_names(group):
            available = ", ".join(option_names(group))
            what = f"{group} cannot be removed" if chosen is None else f"there is no {group} {chosen}"
            raise UserError(f"{what}: choose one of {available}")
    _check_recipe(config, choices)
    for key in _names(config):
        if key not in KNOBS:
            raise UserError(f"there is no setting {key}: `depthlab train --help` lists them")
    check_limits(config, KNOBS)
    for key in DROPPING:
        if not drops_as_said(config[key]):
            half, got = 2 * DROP_STEPS, f"because masks have steps of 1/{DROP_STEPS}, got {config[key]}"
            raise UserError(f"{key} must be 0 or above 1/{half} and below {half - 1}/{half}, {got}")
    for key, options in LISTED.items():
        for value in OmegaConf.select(config, key):
            if value not in options():
                raise UserError(f"{key} must be a list of {', '.join(options())}, got {shown(value)}")
    for group in OWN_KNOBS:
        check_values(group, OmegaConf.to_container(config[group], resolve=True), read_option(group, choices[group]))
    _check_dataset(config)
    if config.loader.name == "cluster":
        _check_cluster(config, choices)
    if config.replicas > 1:
        check_runs([config.replicas], config.max_runs, f"replicas={config.replicas}")
        if problem := obstacle(config):
            raise UserError(problem)
        replica_settings(dict(config))
    _check_trainer(config)


def has_own_path(config: DictConfig, choices: dict[str, str]) -> bool:
    """Whether dataset.path differs from the dataset's yaml, so that the dataset's name does not identify the graph."""
    return bool(config.dataset.get("path") != read_option("dataset", choices["dataset"]).get("path"))


def _check_recipe(config: DictConfig, choices: dict[str, str]) -> None:
    """Check that the recipe exists and belongs to this graph."""
    dataset, like = choices["dataset"], choices.get("like", "none")
    if like != "none":
        if "path" not in config.dataset:
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


def check_limits(config: DictConfig, knobs: dict[str, tuple[Any, Limit]]) -> None:
    """Raise UserError for the first of `knobs` that is not set or out of its range."""
    for key, (kind, limit) in knobs.items():
        value = OmegaConf.select(config, key)
        if value is None and kind in (int, float, bool, str, list[str]):
            raise UserError(f"{key} cannot be removed: set it")
        if value is not None and limit is not None and not within(value, limit):
            raise UserError(f"{key} must be {allowed_values(key)}, got {shown(value)}")
        for text in value if isinstance(value, ListConfig) else [value]:
            check_text(key, text)


def _names(config: DictConfig, prefix: str = "") -> list[str]:
    """Dotted names of all settings; those that options of groups bring are not listed."""
    names: list[str] = []
    for key in map(str, config):
        node = config._get_node(key)
        if isinstance(node, DictConfig) and prefix + key not in KNOBS and prefix + key != "hydra":
            names += _names(node, f"{prefix}{key}.")
        elif prefix + key != "hydra":
            names.append(prefix + key)
    return names


def _check_dataset(config: DictConfig) -> None:
    check_task(config.dataset, config.metrics, config.monitor)
    splits, split = config.dataset.splits, config.split
    known = [str(name) for name in range(splits)] if isinstance(splits, int) else list(splits)
    if isinstance(splits, int) and splits == 0:  # a user's own file says how many it holds
        if not str(split).isdigit():
            raise UserError(f"split must be the number of a split in {config.dataset.path}, got {split}")
    elif str(split) not in known:
        allowed = f"one of {', '.join(known)}" if len(known) > 1 else known[0]
        raise UserError(f"split must be {allowed} for dataset={config.dataset.name}, got {split}")
    if "path" in config.dataset and not config.dataset.path:
        if "path_files" in config.dataset:
            raise UserError(f"dataset={config.dataset.name} needs the folder: add dataset.path=FOLDER")
        raise UserError(f"dataset={config.dataset.name} needs a file, or a folder: add dataset.path=PATH")


def _check_cluster(config: DictConfig, choices: dict[str, str]) -> None:
    """What a graph that is cut into parts cannot have."""
    if config.loader.batch_parts > config.loader.parts:
        parts, batch = config.loader.parts, config.loader.batch_parts
        raise UserError(f"loader.batch_parts must be at most loader.parts={parts}, got {batch}")
    if "batch_size" in config.dataset:
        raise UserError(f"loader=cluster is for one graph, {config.dataset.name} has many: leave it out")
    if choices["rewiring"] != "none":
        raise UserError("loader=cluster trains on the data's own edges: use rewiring=none")
    if config.p_drop > 0 and config.drop_edge.mode == "renormalize":
        raise UserError("a part of a graph has no degrees to normalise by afresh: use drop_edge.mode=rescale")


def _check_trainer(config: DictConfig) -> None:
    """What goes with several processes, and what with a GPU alone."""
    trainer, loader = config.trainer, config.loader
    processes = trainer.devices * trainer.num_nodes
    if trainer.strategy == "single" and processes > 1:
        key = "devices" if trainer.devices > 1 else "num_nodes"
        raise UserError(f"trainer.{key}={trainer[key]} needs trainer=ddp: otherwise one process trains on one device")
    if trainer.strategy == "ddp" and loader.name != "cluster":
        raise UserError("trainer=ddp shares out the parts of one large graph: add loader=cluster, or use trainer=cpu")
    if trainer.strategy == "ddp" and loader.batch_parts < processes:
        each = f"a part for each of the {processes} processes of trainer=ddp"
        raise UserError(f"loader.batch_parts must be at least {processes}, {each}, got {loader.batch_parts}")
    if trainer.strategy == "ddp" and config.norm in ("batch", "pair"):
        raise UserError(
            f"norm={config.norm} takes its statistics of all nodes, a process of trainer=ddp has some: use norm=layer"
        )
    if trainer.strategy == "ddp" and config.model.get("solver") == "dopri5":
        raise UserError(
            "an adaptive solver that is stuck in one process keeps the others waiting: use model.solver=rk4"
        )
