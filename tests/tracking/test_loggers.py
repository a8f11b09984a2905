# ruff: noqa: F811 (fixtures)
"""Lightning loggers with and without MLflow; the tests read back what they wrote."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from mlflow.tracking import MlflowClient
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.logger import Logger

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.option_types import Option
from depthlab.config.schema import Settings
from depthlab.config.settings import config_hash
from depthlab.tracking.loggers import CallbackLogger, LoggerRecord, check_loggers
from depthlab.tracking.record import EpochRecord
from depthlab.tracking.run import TrackedRun
from depthlab.training.result import Result
from depthlab.training.run import run
from tests.training.conftest import Compose, records, settings  # noqa: F401

SHORT = ("model=gcn", "depth=2", "hidden=8", "epochs=12", "patience=12", "measures=[dirichlet_energy]", "memory=full")
EVERY = "logger=[mlflow,csv,tensorboard]"


def csv_points(folder: Path, metric: str) -> list[tuple[int, float]]:
    with (folder / "metrics.csv").open() as file:
        return [(int(row["step"]), float(row[metric])) for row in csv.DictReader(file) if row[metric]]


def event_points(folder: Path, metric: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder)).Reload()
    return [(event.step, event.value) for event in read.Scalars(metric)]


def stored(chosen: Settings, result: Result, metric: str) -> list[tuple[int, float]]:
    points = MlflowClient(chosen.tracking.uri).get_metric_history(result.run_id, metric)
    return sorted((point.step, point.value) for point in points)


def folders(result: Result) -> dict[str, Path]:
    return {name: Path(folder) for name, folder in (location.split(", ") for location in result.locations)}


def test_every_logger_records_the_metrics_of_mlflow(settings: Compose, tmp_path: Path) -> None:
    chosen = settings(*SHORT, EVERY)
    result = run(chosen)
    locations = folders(result)
    assert locations["csv"] == tmp_path / "logs" / "csv" / f"{result.name}-{result.run_id[:8]}"
    for metric in ("epoch/train_loss", "epoch/val_acc", "layer/dirichlet_energy", "test_acc"):
        expected = stored(chosen, result, metric)
        assert len(expected) == {"epoch": 12, "layer": 3}.get(metric.partition("/")[0], 1)
        close = [(step, pytest.approx(value)) for step, value in expected]
        assert tuple(csv_points(locations["csv"], metric)) == tuple(close)  # type: ignore[comparison-overlap]
        seen = event_points(locations["tensorboard"], metric)
        assert tuple(seen) == tuple(close)  # type: ignore[comparison-overlap]
    written = yaml.safe_load((locations["csv"] / "hparams.yaml").read_text())
    assert (written["depth"], written["outcome"]) == (2, "finished")
    assert {"lr", "verdict", "code_hash"} <= written.keys()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tags = EventAccumulator(str(locations["tensorboard"])).Reload().Tags()["tensors"]
    assert "verdict/text_summary" in tags


def test_without_mlflow_a_run_leaves_no_record_there(settings: Compose, tmp_path: Path) -> None:
    chosen = settings(*SHORT, "logger=csv", "tracking.artifacts=[config,figures,model]")
    result = run(chosen.with_tracking(uri=f"sqlite:///{tmp_path / 'other.db'}"))
    assert result.uri == "" and result.run_id.startswith("local-")
    assert not (tmp_path / "other.db").exists()
    assert len(csv_points(folders(result)["csv"], "epoch/train_loss")) == 12
    assert config_hash(chosen) == config_hash(settings(*SHORT))


@pytest.mark.parametrize("logger", [EVERY, "logger=[csv,tensorboard]"], ids=["beside MLflow", "alone"])
def test_a_resumed_run_has_each_epoch_once(
    settings: Compose,
    logger: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = settings(*SHORT, logger)
    uninterrupted = folders(run(chosen))
    log = LoggerRecord.log

    def press(self: LoggerRecord, metrics: Any, step: int = 0) -> None:
        log(self, metrics, step)
        if self.option.name == "tensorboard" and "epoch/train_loss" in metrics and step == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(LoggerRecord, "log", press)
    with pytest.raises(KeyboardInterrupt):
        run(replace(chosen, checkpoint_every=5))
    monkeypatch.setattr(LoggerRecord, "log", log)
    resumed = folders(run(replace(chosen, ckpt="last")))
    for metric in ("epoch/train_loss", "layer/dirichlet_energy", "test_acc"):
        assert csv_points(resumed["csv"], metric) == csv_points(uninterrupted["csv"], metric)
        assert event_points(resumed["tensorboard"], metric) == event_points(uninterrupted["tensorboard"], metric)
    assert resumed["csv"] != uninterrupted["csv"]


def test_a_run_without_mlflow_is_resumed_in_mlflow(
    settings: Compose,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = settings(*SHORT, "logger=csv")
    monkeypatch.setattr("depthlab.training.run.evaluate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(chosen)
    monkeypatch.undo()
    resumed = settings(*SHORT, "ckpt=last").with_tracking(uri=chosen.tracking.uri)
    monkeypatch.setenv("DEPTHLAB_HOME", str(Path(str(chosen.tracking.uri).removeprefix("sqlite:///")).parent))
    result = run(resumed)
    assert [step for step, _ in stored(resumed, result, "epoch/train_loss")] == list(range(12))


@pytest.mark.slow
def test_wandb_writes_files_offline(
    settings: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wandb.teardown()
    monkeypatch.setenv("WANDB_MODE", "offline")
    chosen = settings(*SHORT, "logger=[mlflow,wandb]")
    results = [run(chosen), run(replace(chosen, seed=1))]
    for result in results:
        (file,) = (tmp_path / "logs" / "wandb").glob(f"offline-run-*-{result.run_id[:8]}/*.wandb")
        content = file.read_bytes()
        for written in (b"epoch/train_loss", b"layer/dirichlet_energy", b"test_acc", b"verdict", result.name.encode()):
            assert written in content
    assert stored(chosen, results[0], "epoch/train_loss") != stored(chosen, results[1], "epoch/train_loss")


@pytest.mark.parametrize("logger", ["wandb", "[mlflow,wandb]"])
def test_wandb_without_a_login_is_refused_before_a_run_is_recorded(
    logger: str,
    settings: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wandb.teardown()  # it reads the environment once
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    chosen = settings(*SHORT, f"logger={logger}")
    with pytest.raises(UserError, match=r"^logger=wandb needs a login: type `wandb login`, or set WANDB_MODE=offline"):
        run(chosen)
    client = MlflowClient(chosen.tracking.uri)
    assert not client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])


def test_errors_name_a_missing_optional_dependency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthlab.tracking.loggers.find_spec", lambda _: None)
    for name in ("wandb", "tensorboard"):
        with pytest.raises(UserError) as error:
            check_loggers(compose_settings([f"logger={name}"]).logger)
        assert str(error.value) == (
            f"logger={name} needs a package that is not installed: pip install 'depthlab[{name}]'"
        )
    check_loggers(compose_settings(["logger=[mlflow,csv]"]).logger)


OWN = """
from pytorch_lightning.loggers.logger import Logger

class Lines(Logger):
    name = version = save_dir = ""
    def __init__(self, path, experiment=None):
        super().__init__()
        self.path, self.experiment = path, experiment
    def write(self, line):
        with open(self.path, "a") as file:
            print(line, file=file)
    def log_metrics(self, metrics, step=None):
        self.write(f"{step} {sorted(metrics)}")
    def log_hyperparams(self, params, *args, **kwargs):
        self.write(sorted(params))
"""


def test_a_user_defined_logger(
    settings: Compose,
    conf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "my_logger.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    entry = "lines:\n  _target_: my_logger.Lines\n  path: '{root}/{name}.txt'\n"
    (conf / "logger" / "lines.yaml").write_text(entry)
    result = run(settings(*SHORT, "logger=[lines]"))
    lines = (tmp_path / f"{result.name}.txt").read_text().splitlines()
    assert sum("epoch/train_loss" in line for line in lines) == 12
    with pytest.raises(UserError, match=r"^logger=lines: my_logger.Lines refuses its arguments: .*'speed'$"):
        run(settings(*SHORT, "logger=[lines]", "+logger.lines.speed=3"))
    with pytest.raises(UserError, match=r"^logger=lines: torch.nn.Linear is not a subclass of .*Logger$"):
        run(settings(*SHORT, "logger=[lines]", "logger.lines._target_=torch.nn.Linear"))


def test_metrics_of_callbacks_are_sent_once() -> None:
    sent = []

    class Record(EpochRecord):
        resumed = True

        def last_step(self, metric: str) -> int:
            return 1 if metric == "old" else -1

        def log(self, metrics: Any, step: int = 0) -> None:
            sent.append((dict(metrics), step))

    logger = CallbackLogger(Record())
    logger.log_metrics({"old": 1, "new": 2.0}, 1)
    logger.log_metrics({"old": 1, "new": 2.0}, 2)
    assert sent == [({"new": 2.0}, 1), ({"old": 1.0, "new": 2.0}, 2)]
    assert isinstance(logger, Logger) and TrackedRun.loggers is EpochRecord.loggers and Option(name="x").targets == []


class Keyed(CSVLogger):
    """A logger with a secret."""

    def __init__(self, save_dir: str, api_key: str) -> None:
        if len(api_key) > 8:
            raise ValueError(f"{api_key} is too long")
        super().__init__(save_dir)


def test_the_secret_of_a_logger_is_not_recorded(settings: Compose, tmp_path: Path) -> None:
    chosen = settings(*SHORT, "tracking.artifacts=[config,model]")
    arguments = {"save_dir": str(tmp_path / "keyed"), "api_key": "s3cret"}
    option = Option(name="keyed", target=f"{__name__}.Keyed", arguments=arguments)
    result = run(replace(chosen, logger={**chosen.logger, "keyed": option}), {"logger.keyed.api_key": "command line"})
    assert folders(result)["keyed"].is_dir()
    assert MlflowClient(chosen.tracking.uri).get_run(result.run_id).data.params["logger.keyed.api_key"] == "***"
    wrong = Option(name="keyed", target=option.target, arguments=arguments | {"api_key": "s3cret-word"})
    with pytest.raises(UserError, match=r"\*\*\* is too long"):
        run(replace(chosen, logger={**chosen.logger, "keyed": wrong}))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if b"s3cret" in path.read_bytes()]
    assert any(b"keyed.api_key" in path.read_bytes() for path in written)
