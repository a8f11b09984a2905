"""Names, folders and tags of runs."""

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.training import identity
from depthlab.training.identity import checkpoint_folder, overrides_of, resumable, tags


def test_another_setting_is_another_folder(tmp_path: Path) -> None:
    folders = {checkpoint_folder(compose_settings(more), tmp_path) for more in ([], ["lr=0.02"], ["p_drop=0.1"])}
    assert len(folders) == 3
    for same in ("progress=false", "trainer=gpu"):
        assert checkpoint_folder(compose_settings([same]), tmp_path) in folders


def test_tags() -> None:
    origin = {"depth": "command line", "lr": "recipe published/cora-gcnii", "seed": "default"}
    found = tags(compose_settings(["depth=8"]), origin)
    expected = {"model": "gcnii", "depth": "8", "recipe": "published/cora-gcnii", "command_line": "depth=8"}
    expected |= {"outcome": "running", "rewiring": "none", "loader": "full"}
    assert expected.items() <= found.items()
    rewired = compose_settings(["rewiring=random", "rewiring.num_edges=7"])
    found = tags(rewired, {"rewiring": "command line", "rewiring.num_edges": "command line"})
    assert (found["rewiring"], found["command_line"]) == ("random", "rewiring.num_edges=7 rewiring=random")
    found = tags(compose_settings(["loader=cluster"]), {"loader": "command line"})
    assert (found["loader"], found["command_line"]) == ("cluster", "loader=cluster")


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a" * 300, "a\nb", ".."])
def test_a_dataset_of_any_name_has_its_run_folder_below_the_checkpoints(name: str, tmp_path: Path) -> None:
    settings = compose_settings(["dataset=csbm"])
    settings = replace(settings, dataset=replace(settings.dataset, name=name))
    folder = checkpoint_folder(settings, tmp_path)
    assert folder.parent == tmp_path and ".." not in folder.parts
    (folder / "last.ckpt.part").parent.mkdir()


def test_overrides_are_read_back_as_a_list() -> None:
    typed = ["tracking.artifacts=[config,figures]", "measures=[dirichlet_energy,max_abs]", "lr=0.02"]
    long = f"dataset.path=/data/a b='c' d=1/{'x' * 12000}.npz"
    settings = compose_settings([*typed, "dataset=npz", "dataset.path=x"])
    settings = replace(settings, dataset=replace(settings.dataset, path=long.partition("=")[2]))
    origin = dict.fromkeys(["tracking.artifacts", "measures", "lr", "dataset.path"], "command line")
    found = tags(settings, origin)
    assert overrides_of(found)[1:] == sorted(typed)
    path = OverridesParser.create().parse_override(overrides_of(found)[0])
    assert (path.key_or_group, path.value()) == ("dataset.path", settings.dataset.path)
    assert all(len(found[key]) <= 8000 for key in found if key.startswith("overrides"))
    assert shlex.split(found["command_line"]) == overrides_of(found)


@pytest.mark.parametrize(
    ("command_line", "typed"),
    [
        ("none", []),
        ("lr=0.02", ["lr=0.02"]),
        (
            "depth=2 measures=['dirichlet_energy', 'max_abs'] tracking.artifacts=['config', 'figures']",
            ["depth=2", "measures=['dirichlet_energy', 'max_abs']", "tracking.artifacts=['config', 'figures']"],
        ),
    ],
)
def test_runs_from_before_the_list_are_read(command_line: str, typed: list[str]) -> None:
    assert overrides_of({"command_line": command_line}) == typed


def _repository(folder: Path) -> str:
    """Makes a folder a Git repository with one commit, and returns that."""
    folder.mkdir(parents=True, exist_ok=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "one"], ["rev-parse", "HEAD"]):
        done = subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("project", "repositories", "hook", "right"),
    [
        ("a", ["a"], None, True),
        ("outer/a", ["outer"], None, False),  # a copy without .git in another repository
        ("outer/a", ["outer", "outer/a"], None, True),
        ("a", [], None, False),
        ("a", ["other"], "other", False),  # started by a hook of another repository
        ("a", ["other", "a"], "other", True),
    ],
)
def test_only_a_repository_of_the_project_gives_the_commit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    project: str,
    repositories: list[str],
    hook: str | None,
    right: bool,
) -> None:
    (tmp_path / project).mkdir(parents=True)
    commits = {name: _repository(tmp_path / name) for name in repositories}
    (tmp_path / "link").symlink_to(tmp_path / project)
    if hook:
        monkeypatch.setenv("GIT_DIR", str(tmp_path / hook / ".git"))
        monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / hook / ".git" / "index"))
    for root in (tmp_path / project, tmp_path / "link"):
        monkeypatch.setattr(identity, "CHECKOUT", root)
        found = tags(compose_settings([]), {})["git_commit"]
        assert found == (commits[project] if right else "unknown")


def test_resumable(tmp_path: Path) -> None:
    assert resumable(None, tmp_path) is None
    with pytest.raises(UserError, match="no checkpoint"):
        resumable("last", tmp_path)
    (tmp_path / "final.ckpt").touch()
    with pytest.raises(UserError, match="has finished"):
        resumable("last", tmp_path)
    (tmp_path / "last.ckpt").touch()
    assert resumable("last", tmp_path) == tmp_path / "last.ckpt"
    assert resumable(str(tmp_path / "final.ckpt"), tmp_path) == tmp_path / "final.ckpt"


def test_a_checkpoint_with_other_settings_is_named(tmp_path: Path) -> None:
    short, long = (checkpoint_folder(compose_settings([f"epochs={n}"]), tmp_path) for n in (10, 20))
    long.mkdir()
    (long / "last.ckpt").touch()
    with pytest.raises(UserError, match=f"^{short.name} has no checkpoint, {long.name} has, of a run with other sett"):
        resumable("last", short)
