"""`depthlab train model=gcnii depth=64`: train one architecture at one depth on one graph.

    depthlab train model=gcn depth=32                          a network that collapses
    depthlab train model=gcn depth=8 p_drop=0.2                with DropEdge
    depthlab train dataset=texas model=acmp depth=8            another graph, and attraction with repulsion
    depthlab train dataset=digits model=gcnii replicas=5       five seeds at once
    depthlab train model=gcn,gcnii depth=2,8,32 -m             every combination, one after another

Settings, with their defaults:
"""

import sys
from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from depthlab.cli import guarded, main
from depthlab.config.command_line import for_hydra
from depthlab.config.provenance import provenance, untuned
from depthlab.config.schema import Settings
from depthlab.config.validation import validate
from depthlab.data.raw import check
from depthlab.lean import import_lightning, may_be_lean
from depthlab.text import printable
from depthlab.tracking.store import check_store, store_uri
from depthlab.training.identity import LAST, checkpoint_folder, resumable
from depthlab.training.launch import prepare_launch
from depthlab.training.ranks import check_ranks, is_main, main_rank_prints
from depthlab.training.replica_settings import replica_provenance, replica_settings
from depthlab.training.signals import interruption_message


def checked(config: DictConfig, choices: dict[str, str], overrides: Sequence[str]) -> Settings:
    """The settings of a run, with `tracking.uri` filled in, after everything that can be checked cheaply.

    Args:
        config: the composed config.
        choices: the option of each config group.
        overrides: of the command line.

    Raises:
        UserError: a setting is not allowed, the data do not exist, or the store cannot be used.
    """
    settings = validate(config, choices)
    check_ranks(settings.trainer, overrides)
    settings = settings.with_tracking(uri=store_uri(settings.tracking.uri))
    check(settings.dataset)
    if is_main(settings.trainer) and settings.in_mlflow:
        check_store(settings.tracking.store)
    return settings


def task(config: DictConfig) -> None:
    """Check the settings, then import the heavy libraries and run."""
    hydra = HydraConfig.get()
    choices = {key: str(value) for key, value in hydra.runtime.choices.items()}
    settings = checked(config, choices, hydra.overrides.task)
    if may_be_lean(settings):
        import_lightning()
    if not is_main(settings.trainer):
        from depthlab.training.run import train_only

        train_only(settings)
        return
    sources = provenance(settings, choices, list(hydra.overrides.task))
    if not OmegaConf.select(hydra, "job.num") and (notice := untuned(settings, sources)):  # once for a multirun
        print(notice, file=sys.stderr)
    if settings.replicas == 1:
        resumable(settings.ckpt, checkpoint_folder(settings), settings.model.module)

    from depthlab.training.next_command import next_command
    from depthlab.training.replicas import run_replicas
    from depthlab.training.run import run
    from depthlab.training.summary import outcome_line, row, spread, summary

    try:
        if settings.replicas == 1:
            result = run(settings, sources)
            print(summary(result))
            trained = int(result.statistics["epochs_run"])
            if advice := next_command(result.diagnosis.verdict, settings, hydra.overrides.task, trained):
                print("\n".join(row("next", printable(advice))))
            return
        replicas = replica_settings(settings)
        results = []
        for result in run_replicas(replicas, [replica_provenance(sources, settings)] * len(replicas)):
            print(printable(f"{result.name}: {result.outcome}, {outcome_line(result)}"))
            results.append(result)
        print(spread(results))
    except KeyboardInterrupt as interrupted:
        raise KeyboardInterrupt(str(interrupted) or interruption_message(checkpoint_folder(settings) / LAST)) from None


def prepare() -> None:
    """Prepare the overrides and the tracking store of the jobs."""
    sys.argv[1:] = for_hydra(sys.argv[1:])
    prepare_launch(sys.argv[1:])


def command() -> None:
    """Compose the config and run it, for every job of a multirun; ends the process."""
    with main_rank_prints(sys.argv):
        guarded(prepare)
        main(task)
