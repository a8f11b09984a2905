"""Where runs are recorded."""

import multiprocessing
import shutil
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.folders import CHECKOUT
from depthlab.tracking.store import check_store, open_store, store_uri


@pytest.fixture(scope="module")
def uri(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with tables and no runs."""
    return f"sqlite:///{shutil.copy(empty_store, tmp_path_factory.mktemp('copy') / 'records.db')}"


@pytest.mark.slow
def test_two_processes_open_a_fresh_store_at_once(tmp_path: Path) -> None:
    uri, context = f"sqlite:///{tmp_path / 'records.db'}", multiprocessing.get_context("spawn")
    both = [context.Process(target=open_store, args=(uri, "together")) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    names = [experiment.name for experiment in MlflowClient(uri).search_experiments()]
    assert names.count("together") == 1


def test_open_store_creates_the_experiment_once(uri: str) -> None:
    client, experiment_id = open_store(uri, "mine")
    assert open_store(uri, "mine")[1] == experiment_id
    assert open_store(uri, "other")[1] != experiment_id
    experiment = client.get_experiment(experiment_id)
    folder = Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts"
    assert (experiment.name, experiment.artifact_location) == ("mine", folder.as_uri())


def test_deleted_experiment(uri: str) -> None:
    client, experiment_id = open_store(uri, "gone")
    client.delete_experiment(experiment_id)
    with pytest.raises(UserError, match=r"^the experiment gone was deleted: restore it or set another "):
        open_store(uri, "gone")


def test_experiment_without_a_name(uri: str) -> None:
    with pytest.raises(UserError, match=f"^the tracking store {uri} refuses: .*[Nn]ame"):
        open_store(uri, "")


def test_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database, but long enough to be taken for one " * 20)
    with pytest.raises(UserError, match=r"notes\.db is not a usable database: \S") as error:
        open_store(f"sqlite:///{tmp_path / 'notes.db'}", "mine")
    assert "\n" not in str(error.value)


def test_database_whose_driver_is_not_installed() -> None:
    with pytest.raises(UserError, match=r"needs a driver that is not installed: pip install \w+$"):
        open_store("mssql+pyodbc://127.0.0.1:9/x", "mine")


def test_store_uri() -> None:
    assert store_uri("http://there:5000") == "http://there:5000"
    assert store_uri(None) == f"sqlite:///{CHECKOUT}/mlflow.db"


def test_check_store_of_a_file(tmp_path: Path) -> None:
    check_store(f"sqlite:///{tmp_path}/new.db")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match=f"^cannot write a database in {tmp_path}/missing: create the folder"):
        check_store(f"sqlite:///{tmp_path}/missing/new.db")


@pytest.mark.parametrize(
    ("sentence", "uris"),
    [
        ("no MLflow server answers at {}: start it", ["http://127.0.0.1:9", "https://127.0.0.1:9/mlflow"]),
        (
            "tracking.uri must be an address such as http://HOST:5000, got {}",
            ["http://[::1", "http://", "http://there:99999", "https://there:x"],
        ),
        ("tracking.uri must begin with sqlite:///, ", ["mlruns", "file:///tmp/mlruns", "ftp://there", "databricks"]),
        (
            "tracking.uri must name a database file",
            ["sqlite:///:memory:", "sqlite://", "sqlite:///file:x?mode=memory&uri=true"],
        ),
    ],
)
def test_check_store_of_an_address_that_cannot_be_used(sentence: str, uris: list[str]) -> None:
    for uri in uris:
        with pytest.raises(UserError) as error:
            check_store(uri)
        assert str(error.value).startswith(sentence.format(uri)) and uri in str(error.value)


@pytest.mark.parametrize("experiment", ["two\nlines", "a\ttab", "a\x1b[31mcolor"])
def test_experiment_whose_name_is_not_one_line(experiment: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^tracking\.experiment must be one line of printable characters, got '"):
        open_store(f"sqlite:///{tmp_path}/new.db", experiment)
    assert not list(tmp_path.iterdir())


def test_without_create_nothing_is_created(uri: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^there is no database .*new\.db$"):
        open_store(f"sqlite:///{tmp_path}/new.db", "mine", create=False)
    client, _ = open_store(uri, "mine")
    before = len(client.search_experiments())
    with pytest.raises(UserError, match=r"^there is no experiment unknown in sqlite:///"):
        open_store(uri, "unknown", create=False)
    assert len(client.search_experiments()) == before


def test_database_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.db"
    path.touch()
    monkeypatch.setattr("os.access", lambda found, mode: found == tmp_path)
    with pytest.raises(UserError, match=rf"^cannot read the database {path}: change its permissions"):
        check_store(f"sqlite:///{path}")


def test_address_and_experiment_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hush@there:5000")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "1e3")
    assert store_uri(None) == "http://***@there:5000"
    assert store_uri("http://here") == "http://here"
    assert compose_settings([]).tracking.experiment == "1e3"
    assert compose_settings(["tracking.experiment=mine"]).tracking.experiment == "mine"


def test_mlflow_below_a_folder_with_a_percent_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleSpec("mlflow", None, origin="/home/me/a%20b/site-packages/mlflow/__init__.py")
    monkeypatch.setattr("depthlab.tracking.store.find_spec", lambda name: package)
    for use in (check_store, lambda uri: open_store(uri, "mine")):
        with pytest.raises(UserError, match=r"^MLflow cannot use a database while it is installed in /home/me/a%20b/"):
            use(f"sqlite:///{tmp_path}/mlflow.db")
    assert not list(tmp_path.iterdir())
