"""Every command and file of docs/guides/tracking.md is run as a reader would, with fewer epochs."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from depthlab.folders import CHECKOUT
from tests.conftest import Command

TEXT = (CHECKOUT / "docs" / "guides" / "tracking.md").read_text()
COMMANDS = re.findall(r"^    ((?:\w+=\w+ )?depthlab .*)$", TEXT, flags=re.MULTILINE)
FILES = re.findall(r"^```\w+ (\S+)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_works(
    line: str, command: Command, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHLAB_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_callbacks", None)
    for name, content in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    words = shlex.split(line)
    while "=" in words[0]:
        monkeypatch.setenv(*words.pop(0).split("="))
    if "logger=wandb" in words:
        import wandb

        wandb.teardown()  # it reads the environment once
    uri = f"tracking.uri=sqlite:///{tmp_path / 'mlflow.db'}"
    done = command(words[1], *words[2:], "dataset.nodes=120", "epochs=3", "progress=false", "trainer.threads=1", uri)
    assert done.code == 0, done
    printed = re.findall(r"recorded +(\w+)", str(done))
    wanted = {
        "logger=csv": ["csv"],
        "logger=wandb": ["wandb"],
        "logger=[mlflow,csv,tensorboard]": ["csv", "tensorboard", "sqlite"],
    }
    assert printed == next((places for word, places in wanted.items() if word in words), ["sqlite"])
    if "logger=wandb" in words:
        assert list((tmp_path / "logs" / "wandb").glob("offline-run-*/run-*.wandb"))


def test_the_page_has_both_files_and_all_stories() -> None:
    assert {name for name, _ in FILES} == {"my_callbacks.py", "conf/optimizer/rmsprop.yaml"}
    assert len(COMMANDS) == 9
