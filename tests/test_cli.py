"""A mistake ends with one sentence and exit code 1; a defect keeps its stack trace."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig

from depthlab.cli import explain, guarded, main
from depthlab.config.compose import compose_settings
from depthlab.config.errors import UnavailableError, UserError
from depthlab.folders import CHECKOUT
from tests.log_handlers import restored_log_handlers


def test_bad_input_ends_in_one_sentence() -> None:
    """By the command itself, in a process of its own."""
    command = [sys.executable, "-m", "src.train", "depth=abc"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    said = "error: depth must be a whole number in [1, 100000], got abc\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_explain_a_value_of_the_wrong_type_in_a_file(conf: Path) -> None:
    config = conf / "config.yaml"
    config.write_text(re.sub("^depth: .*$", "depth: eight", config.read_text(), flags=re.MULTILINE))
    with pytest.raises(HydraException) as error:
        compose_settings([])
    assert explain(error.value) == "conf/config.yaml: depth must be a whole number in [1, 100000], got eight"


def test_explain_a_setting_of_a_file_that_there_is_not(conf: Path) -> None:
    recipe = conf / "recipe" / "published" / "cora-gcnii.yaml"
    recipe.write_text(recipe.read_text() + "\ndeptH: 3\n")
    with pytest.raises(HydraException) as error:
        compose_settings(["dataset=cora", "model=gcnii"])
    sentence = "conf/recipe/published/cora-gcnii.yaml: there is no setting deptH: did you mean depth"
    assert explain(error.value) == sentence


@pytest.mark.parametrize("error", [UserError("do this"), UnavailableError("do this")])
def test_explain_a_sentence_as_it_is(error: Exception) -> None:
    assert explain(error) == "do this"


@pytest.mark.parametrize(("file", "named"), [("a.ckpt", "a.ckpt"), (None, "a file")])
def test_explain_a_full_disk(file: str | None, named: str) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", file)
    assert explain(error) == f"cannot write {named}, the disk is full: free some space and start again"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
@pytest.mark.parametrize(
    ("place", "sentence"),
    [("/dev/full", "cannot write a file, the disk is full: free some space and start again"),
     ("small", "cannot write a file, files may not become so large here: raise the limit (ulimit -f) or work in")],
)  # fmt: skip
def test_explain_what_torch_makes_of_a_full_disk(tmp_path: Path, no_room: None, place: str, sentence: str) -> None:
    with pytest.raises((OSError, RuntimeError)) as error, (tmp_path / place).open("wb") as file:
        torch.save(torch.ones(100_000), file)
    assert str(explain(error.value)).startswith(sentence)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(MemoryError(), "there is not enough memory for this graph and network: make hidden, depth or"),
     (RuntimeError("DefaultCPUAllocator: can't allocate memory: ..."), "there is not enough memory for this graph"),
     (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has"), "the GPU has not enough"),
     (RuntimeError("CUDA error: out of memory\nCompile with"), "the GPU has not enough memory for this graph and")],
)  # fmt: skip
def test_explain_too_little_memory(error: Exception, sentence: str) -> None:
    found = str(explain(error))
    assert found.startswith(sentence) and "\n" not in found


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), OSError(errno.EINVAL, "x"), RuntimeError("x")])
def test_a_defect_is_not_explained(error: Exception) -> None:
    assert explain(error) is None


Command = Callable[..., Any]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs `main` with a task and words of a command line; returns the exit code."""

    def run(task: Callable[[DictConfig], None], *typed: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["program", *typed])
        with restored_log_handlers(), pytest.raises(SystemExit) as end:
            main(task)
        return end.value.code

    monkeypatch.setenv("HYDRA_FULL_ERROR", os.environ.get("HYDRA_FULL_ERROR", "0"))  # `main` sets it
    monkeypatch.chdir(tmp_path)
    return run


def test_main_hands_over_the_config(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[DictConfig] = []
    assert command(seen.append, "depth=3") == 0
    assert [config.depth for config in seen] == [3]
    assert capsys.readouterr().err == ""


def test_main_prints_the_sentence_of_a_task(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    def task(config: DictConfig) -> None:
        raise UserError("do this")

    assert command(task) == 1
    assert capsys.readouterr().err == "error: do this\n"


@pytest.mark.parametrize("typed", [("--depth", "8"), ("-m", "--foo", "depth=2,3")])
def test_an_option_that_is_none_ends_in_one_sentence(
    command: Command, typed: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    name = next(word for word in typed if word.startswith("--"))
    assert command(lambda config: None, *typed) == 1
    assert capsys.readouterr().err == (
        f"error: there is no option {name}: write a setting as key=value, such as depth=8\n"
    )


def test_main_after_ctrl_c(command: Command) -> None:
    def task(config: DictConfig) -> None:
        raise KeyboardInterrupt

    assert command(task) == 130


def test_a_multirun_of_too_many_runs_is_refused_before_it_is_listed(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(lambda config: None, "seed=range(0,1000000000)", "-m") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: this command has 1,000,000,000 runs, at most 10,000 are allowed: give fewer values")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [(["--config-path", "/nowhere"], "there is no such config folder: correct --config-name, --config-path and"),
     (["--config-name", "nothing"], "there is no config nothing: correct --config-name, --config-path and"),
     (["recipe=../dataset/cora"], "there is no recipe ../dataset/cora: choose one of none, published, tuned"),
     (["dataset.path=a,b"], "dataset.path has several values: if it is one string with a comma, type 'dataset.path=")],
)  # fmt: skip
def test_what_hydra_looks_for_elsewhere(
    command: Command, capsys: pytest.CaptureFixture[str], typed: list[str], sentence: str
) -> None:
    assert command(lambda config: None, *typed) == 1
    assert capsys.readouterr().err.startswith(f"error: {sentence}")


def test_main_shows_a_defect(monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    def task(config: DictConfig) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(ZeroDivisionError):
        main(task)


def test_multirun_goes_on_after_a_failing_job(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    done: list[int] = []

    def task(config: DictConfig) -> None:
        if config.depth == 2:
            raise UserError("not two")
        done.append(config.depth)

    assert command(task, "--multirun", "depth=1,2,3") == 1
    assert done == [1, 3]
    assert capsys.readouterr().err == "error: not two\n"


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`guarded` changes it."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", os.environ.get("HYDRA_FULL_ERROR", "0"))


@pytest.mark.usefixtures("own_environment")
def test_guarded_lets_a_task_end(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[int] = []
    guarded(lambda: done.append(1))
    assert done == [1]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("own_environment")
@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UserError("do this"), 1, "error: do this\n"),
        (KeyboardInterrupt(), 130, "\ninterrupted: start the same command again\n"),
        (KeyboardInterrupt("1 of 2 is done"), 130, "\n1 of 2 is done\n"),
        (SystemExit(3), 3, ""),
    ],
)
def test_guarded_ends_with_a_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, words: str
) -> None:
    def task() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        guarded(task)
    assert (end.value.code, capsys.readouterr().err) == (code, words)


def test_a_launcher_that_is_not_installed() -> None:
    missing = MissingConfigException("", "hydra/launcher/submitit_slurm", ["basic"])
    sentence = "hydra/launcher=submitit_slurm needs a package that is not installed: pip install 'depthlab[slurm]'"
    assert explain(missing) == sentence
    mistyped = MissingConfigException("", "hydra/launcher/submitit_slrm", ["basic", "submitit_local"])
    assert explain(mistyped) == "there is no hydra/launcher submitit_slrm: choose one of basic, submitit_local"


def test_a_command_goes_on_where_nobody_reads_its_output(
    own_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done: list[int] = []

    def task() -> None:
        print("a line", flush=True)
        print("another, which stays in the buffer")
        done.append(1)

    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        monkeypatch.setattr("sys.stderr", pipe)
        guarded(task)
    assert done == [1]


def test_a_file_that_may_not_be_read_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.yaml"
    path.touch()
    error = PermissionError(errno.EACCES, "Permission denied", str(path))
    assert explain(error) == f"cannot write {path}, it is not permitted: change its permissions"
    monkeypatch.setattr("os.access", lambda *_: False)
    assert explain(error) == f"cannot read {path}, it is not permitted: change its permissions"
