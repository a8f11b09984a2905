"""The user's Lightning callbacks, named by a yaml file or on the command line."""

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from pytorch_lightning.callbacks import DeviceStatsMonitor

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.settings import config_hash
from depthlab.training.identity import code_hash
from depthlab.training.run import run
from depthlab.training.user_callbacks import make_callbacks
from tests.training.conftest import Compose, history

SHORT = ("model=gcn", "depth=2", "hidden=8", "epochs=12", "patience=12", "measures=[]", "memory=full")
STOP = "pytorch_lightning.callbacks.EarlyStopping"
OWN = """
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities.exceptions import MisconfigurationException

class Ends(Callback):
    '''Ends the training once a score is good enough.'''
    def __init__(self, monitor, at):
        self.monitor, self.at, self.seen = monitor, at, 0

    def on_train_epoch_end(self, trainer, model):
        self.seen += 1
        trainer.logger.log_metrics({"seen": self.seen}, trainer.current_epoch)
        trainer.should_stop = float(trainer.callback_metrics[self.monitor]) >= self.at

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state_dict):
        self.seen = state_dict["seen"]

class Both(Callback):
    def on_train_start(self, trainer, model):
        pass

    def on_validation_end(self, trainer, model):
        raise AssertionError

class Validates(Callback):
    def on_validation_end(self, trainer, model):
        raise AssertionError

    def on_test_end(self, trainer, model):
        raise AssertionError

class Never(Callback):
    def setup(self, trainer, model, stage):
        raise MisconfigurationException("it needs another trainer")
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    (tmp_path / "my_callbacks.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return ["+callbacks.ends._target_=my_callbacks.Ends", "+callbacks.ends.monitor=train_acc", "+callbacks.ends.at=0"]


def test_a_run_has_no_callbacks_but_those_it_names() -> None:
    assert make_callbacks(compose_settings([])) == []
    (device,) = make_callbacks(compose_settings(["callbacks=[device_stats]"]))
    assert isinstance(device, DeviceStatsMonitor)


def test_device_stats_are_recorded(settings: Compose) -> None:
    chosen = settings(*SHORT, "callbacks=device_stats", "epochs=60", "patience=60")
    result = run(chosen)
    assert "-device_stats-" in result.name
    metrics = MlflowClient(result.uri).get_run(result.run_id).data.metrics
    names = [name for name in metrics if name.startswith("DeviceStatsMonitor")]
    assert any(name.endswith("cpu_percent") for name in names)
    assert [step for step, _ in history(chosen, result.run_id, names[0])] == [49]


def test_a_user_callback_reads_the_scores_and_logs(settings: Compose, mine: list[str]) -> None:
    chosen = settings(*SHORT, *mine)
    result = run(chosen)
    assert result.statistics["epochs_run"] == 1
    assert history(chosen, result.run_id, "seen") == [(0, 1.0)]


def test_a_user_yaml_file(settings: Compose, mine: list[str], conf: Path) -> None:
    text = "ends: {_target_: my_callbacks.Ends, monitor: val_acc, at: 2.0}\n"
    (conf / "callbacks" / "own.yaml").write_text(text)
    assert run(settings(*SHORT, "callbacks=own")).statistics["epochs_run"] == 12


def test_callbacks_are_part_of_the_identity(settings: Compose, mine: list[str]) -> None:
    plain, ends = settings(*SHORT), settings(*SHORT, *mine)
    assert config_hash(plain) != config_hash(ends) != config_hash(settings(*SHORT, *mine[:2], "+callbacks.ends.at=1"))
    assert code_hash(plain.targets) != code_hash(ends.targets)


@pytest.mark.slow
def test_a_callback_without_validation(settings: Compose, mine: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    stops = [f"+callbacks.stop._target_={STOP}", "+callbacks.stop.monitor=val_loss"]
    stops += ["+callbacks.stop.patience=1", "+callbacks.stop.min_delta=100"]
    chosen = settings(*SHORT, *stops, "+callbacks.both._target_=my_callbacks.Both", "progress=true")
    assert run(chosen).statistics["epochs_run"] == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("callbacks=")]
    assert lines == ["callbacks=both: my_callbacks.Both: on_validation_end will not be called: use on_train_epoch_end"]


BAD = [
    (["+callbacks.x._target_=my_callbacks.Missing"], "callbacks=x: cannot import my_callbacks.Missing"),
    (["+callbacks.x._target_=torch.nn.Linear"], "callbacks=x: torch.nn.Linear is not a subclass of"),
    (["+callbacks.x._target_=my_callbacks.Ends"], "refuses its arguments: missing a required argument: 'monitor'"),
    (
        ["+callbacks.x._target_=my_callbacks.Validates"],
        "^callbacks=x: my_callbacks.Validates is never called, since it has only on_test_end, on_validation_end: use",
    ),
    (
        [
            f"+callbacks.x._target_={STOP}",
            "+callbacks.x.monitor=val_acc",
            "+callbacks.x.check_on_train_epoch_end=false",
        ],
        f"^callbacks=x: {STOP} with check_on_train_epoch_end=false is never called: leave",
    ),
]


@pytest.mark.parametrize(("typed", "sentence"), BAD, ids=[sentence for _, sentence in BAD])
def test_invalid_callbacks_are_refused_before_a_run_is_recorded(
    settings: Compose, mine: list[str], typed: list[str], sentence: str
) -> None:
    chosen = settings(*SHORT, *typed)
    with pytest.raises(UserError, match=sentence):
        run(chosen)
    assert MlflowClient(chosen.tracking.uri).search_runs(["0", "1"]) == []


def test_a_callback_that_lightning_refuses_raises_one_sentence(settings: Compose, mine: list[str]) -> None:
    with pytest.raises(UserError, match=r"^a callback cannot be used: it needs another trainer$"):
        run(settings(*SHORT, "+callbacks.never._target_=my_callbacks.Never"))


def test_replicas_have_no_callbacks(mine: list[str]) -> None:
    with pytest.raises(UserError, match=r"^replicas do not run callbacks of Lightning: use callbacks=none"):
        compose_settings(["replicas=2", *mine])
    with pytest.raises(UserError, match=r"^Weights & Biases records one run at a time"):
        compose_settings(["replicas=2", "logger=wandb"])
