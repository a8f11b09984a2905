"""Record runs with Lightning loggers: CSV files, TensorBoard, Weights & Biases, or a user-defined class."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.loggers.logger import Logger

from depthlab.address import without_secrets
from depthlab.config.errors import UserError
from depthlab.config.instantiate import build, import_class
from depthlab.config.option_types import Option
from depthlab.config.schema import MLFLOW
from depthlab.folders import root
from depthlab.tracking.names import by_epoch
from depthlab.tracking.record import LOCAL, EpochRecord

NEEDS = {"WandbLogger": "wandb", "TensorBoardLogger": "tensorboard"}  # class name: optional dependency
ID_LENGTH = 8


class LoggerRecord(EpochRecord):
    """The record of a run in a Lightning logger.

    A resumed run rewrites CSV and TensorBoard files from the history in its checkpoint, so each epoch appears once.
    Other loggers append: epochs between the last checkpoint and a kill appear twice.

    Args:
        option: the option of conf/logger.
        logger: the logger.
        params: flat settings.
        tags: tags of the run.
    """

    def __init__(self, option: Option, logger: Logger, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        self.option, self.logger = option, logger
        self._writes_anew = isinstance(logger, CSVLogger | TensorBoardLogger)
        with _errors(option):
            self.logger.log_hyperparams({**tags, **params})

    @property
    def location(self) -> str:
        """`csv, /home/me/logs/csv/cora-gcn-d2-s0-1234abcd`; empty if the logger has no folder."""
        folder = getattr(self.logger, "log_dir", None) or self.logger.save_dir
        return f"{self.option.name}, {folder}" if folder else ""

    def replay(self, history: Sequence[Mapping[str, float]]) -> None:
        for epoch, scores in enumerate(history if self._writes_anew else ()):
            self.log(by_epoch(scores), epoch)

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        self.logger.log_metrics(dict(metrics), step)

    def log_curve(self, name: str, values: Sequence[float]) -> None:
        """Record a curve with step = layer 0, 1, ..., depth."""
        for step, value in enumerate(values):
            self.log({name: value}, step)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Record tags as hyperparameters, or as text in TensorBoard, where hyperparameters cannot change."""
        if isinstance(self.logger, TensorBoardLogger):
            for name, value in tags.items():
                self.logger.experiment.add_text(name, str(value))
        else:
            self.logger.log_hyperparams(dict(tags))

    def finish(self, status: str, outcome: str) -> None:
        """Write everything and close the run."""
        self.tag({"outcome": outcome})
        self.logger.save()
        self.logger.finalize("success" if status == "FINISHED" else "failed")
        if close := getattr(self.logger.experiment, "finish", None):  # W&B allows one run per process at a time
            close(exit_code=0 if status == "FINISHED" else 1)


class CallbackLogger(Logger):
    """Send what callbacks log to a record; a resumed run skips steps that are already recorded."""

    def __init__(self, record: EpochRecord) -> None:
        super().__init__()
        self._record = record
        self._known: dict[str, int] = {}

    @property
    def name(self) -> str:
        return self._record.name

    @property
    def version(self) -> str:
        return self._record.run_id

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The settings of the run are recorded already."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Record metrics at a training step."""
        step = step or 0
        for name in metrics if self._record.resumed else ():
            if name not in self._known:
                self._known[name] = self._record.last_step(name)
        new = {name: float(value) for name, value in metrics.items() if step > self._known.get(name, -1)}
        self._record.log(new, step)


def check_loggers(options: Mapping[str, Option]) -> None:
    """Raise UserError for a logger whose package is not installed, whose class is wrong, or that needs a login."""
    for option in options.values():
        if option.target == MLFLOW:
            continue
        name = str(option.target).rpartition(".")[2]
        package = NEEDS.get(name)
        if package and not find_spec(package):
            raise UserError(
                f"logger={option.name} needs a package that is not installed: pip install 'depthlab[{package}]'"
            )
        kind = import_class("logger", option, Logger)
        given = option.arguments
        if issubclass(kind, WandbLogger) and not given.get("offline") and given.get("mode", "online") == "online":
            with _errors(option):
                import wandb

                wandb.login(verify=False)  # asks for the key in a terminal; does nothing in offline mode


def open_loggers(
    options: Mapping[str, Option],
    name: str,
    run_id: str,
    resumed: bool,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
) -> list[LoggerRecord]:
    """Open the records of a run in loggers.

    Args:
        options: options of conf/logger.
        name, run_id: name and ID of the run, for `{name}` and `{id}` in the options.
        resumed: whether the run is partly recorded already.
        params, tags: as for `LoggerRecord`.

    Raises:
        UserError: a logger cannot be created or opened.
    """
    values = {"{root}": str(root()), "{name}": name, "{id}": run_id.removeprefix(LOCAL)[:ID_LENGTH]}
    records = []
    for option in options.values():
        kind = import_class("logger", option, Logger)
        arguments = {key: _fill_placeholders(value, values) for key, value in option.arguments.items()}
        given = {"purge_step": 0} if resumed and issubclass(kind, TensorBoardLogger) else {}  # hides older events
        with _errors(option):
            logger = build("logger", replace(option, arguments=arguments), kind, given)
        records.append(LoggerRecord(option, logger, params, tags))
    return records


def _fill_placeholders(value: Any, values: Mapping[str, str]) -> Any:
    for placeholder, text in values.items() if isinstance(value, str) else ():
        value = value.replace(placeholder, text)
    return value


@contextmanager
def _errors(option: Option) -> Iterator[None]:
    """Raise errors from opening a logger as UserError."""
    os.environ.setdefault("WANDB_SILENT", "true")  # hides its messages for every run
    try:
        yield
    except UserError as error:
        raise UserError(_without_secrets(option, str(error))) from None
    except Exception as error:  # loggers have their own error types
        reason = _without_secrets(option, " ".join(str(error).split()))
        if "API key" in reason:
            raise UserError(
                f"logger={option.name} needs a login: type `wandb login`, or set WANDB_MODE=offline to write files that"
                " `wandb sync` sends later"
            ) from None
        raise UserError(f"logger={option.name} cannot be opened: {reason}") from None


def _without_secrets(option: Option, text: str) -> str:
    """Remove the secrets of a logger's arguments from an error message."""
    for key, value in option.arguments.items():
        if (shown := without_secrets(key, value)) != value:
            text = text.replace(str(value), str(shown))
    return text
