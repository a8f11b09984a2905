"""`python -m src.train model=gcnii depth=64`: train one architecture at one depth on one graph."""

import sys

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from src.cli import guarded, main
from src.data.raw import check
from src.replicas import replica_origin, replica_settings
from src.settings import plain, provenance, untuned
from src.text import printable
from src.tracking.store import check_store, store_uri
from src.train.follow import follow
from src.train.identity import LAST, checkpoint_folder, resumable
from src.train.launch import prepare_launch
from src.train.place import place_of
from src.train.signals import interruption
from src.typed import for_hydra
from src.validation import validate


def task(config: DictConfig) -> None:
    """Check everything that can be checked cheaply, then import the heavy libraries and run."""
    hydra = HydraConfig.get()
    choices = {key: str(value) for key, value in hydra.runtime.choices.items()}
    validate(config, choices)
    settings = plain(config)
    settings["tracking"]["uri"] = store_uri(settings["tracking"]["uri"])
    check(settings["dataset"])
    place = place_of(settings["trainer"])
    if not place.leads:
        follow(settings, place)
        return
    check_store(settings["tracking"]["uri"])
    origin = provenance(settings, choices, list(hydra.overrides.task))
    if not OmegaConf.select(hydra, "job.num") and (notice := untuned(settings, origin)):  # of several jobs the first
        print(notice, file=sys.stderr)
    if settings["replicas"] == 1:
        resumable(settings["ckpt"], checkpoint_folder(settings))

    from src.train.replicas import run_replicas
    from src.train.run import run
    from src.train.summary import outcome_line, spread, summary

    try:
        if settings["replicas"] == 1:
            print(summary(run(settings, origin)))
            return
        several = replica_settings(settings)
        results = []
        for result in run_replicas(several, [replica_origin(origin, settings)] * len(several)):
            print(printable(f"{result.name}: {result.outcome}, {outcome_line(result)}"))
            results.append(result)
        print(spread(results))
    except KeyboardInterrupt as interrupted:
        raise KeyboardInterrupt(str(interrupted) or interruption(checkpoint_folder(settings) / LAST)) from None


def prepare() -> None:
    """Prepare the overrides and the tracking store of the jobs."""
    sys.argv[1:] = for_hydra(sys.argv[1:])
    prepare_launch(sys.argv[1:])


if __name__ == "__main__":
    guarded(prepare)
    main(task)
