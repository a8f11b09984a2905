"""`python -m src.train model=gcnii depth=64`: train one architecture at one depth on one graph."""

import sys

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src.cli import guarded, main
from src.data.raw import check
from src.settings import plain, provenance
from src.tracking.store import check_store, store_uri
from src.train.identity import checkpoint_folder, resumable
from src.train.launch import prepare_launch
from src.validation import validate


def task(config: DictConfig) -> None:
    """Check everything that can be checked cheaply, then import the heavy libraries and run."""
    hydra = HydraConfig.get()
    choices = {key: str(value) for key, value in hydra.runtime.choices.items()}
    validate(config, choices)
    settings = plain(config)
    settings["tracking"]["uri"] = store_uri(settings["tracking"]["uri"])
    check_store(settings["tracking"]["uri"])
    check(settings["dataset"])
    resumable(settings["ckpt"], checkpoint_folder(settings))

    from src.train.run import run
    from src.train.summary import summary

    try:
        result = run(settings, provenance(settings, choices, list(hydra.overrides.task)))
    except KeyboardInterrupt as interrupted:
        if interrupted.args:  # it has a checkpoint
            print(f"\n{interrupted}: go on with the same command and ckpt=last", file=sys.stderr)
        raise
    print(summary(result))


if __name__ == "__main__":
    guarded(lambda: prepare_launch(sys.argv[1:]))
    main(task)
