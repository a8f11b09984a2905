"""Which raw files may be read, and what is said about those that may not."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError
from depthlab.config.option_types import DatasetSettings
from depthlab.data.raw import check, mapped_folder, prepared_file, raw_hashes, raw_paths
from depthlab.data.raw_files import git_blob
from depthlab.data.rewire import statistics_file
from depthlab.files import sha256

Read = Callable[..., DatasetSettings]
X = "planetoid/ind.cora.x"


def test_paths_in_the_order_of_the_config(project: Path, dataset_config: Read) -> None:
    config = dataset_config("cora")
    assert raw_paths(config) == [project / "data" / name for name in config.files or []]
    assert raw_hashes(config) == {name: git_blob(project / "data" / name) for name in config.files or []}


def test_generated_graphs_have_no_files(project: Path, dataset_config: Read) -> None:
    shutil.rmtree(project / "data")
    config = dataset_config("digits")
    assert raw_paths(config) == []
    assert raw_hashes(config) == {}
    check(config)


def test_listed_file_missing(project: Path, dataset_config: Read) -> None:
    (project / "data" / X).unlink()
    with pytest.raises(UserError, match=rf"^data/{X} is missing: run `depthlab fetch --dataset cora`$"):
        raw_paths(dataset_config("cora"))


def test_whole_data_folder_missing(project: Path, dataset_config: Read) -> None:
    shutil.rmtree(project / "data")
    with pytest.raises(UserError, match=r"is missing: run `depthlab fetch --dataset texas`$"):
        check(dataset_config("texas"))


def test_unlisted_file_is_not_read(project: Path, dataset_config: Read) -> None:
    path = project / "data" / "heterophilous" / "actor.npz"
    for ask in (raw_paths, raw_hashes, check):
        with pytest.raises(UserError, match=r"^data/heterophilous/actor\.npz is not in raw_files\.tsv"):
            ask(dataset_config("actor"))
        path.write_bytes(b"from anywhere")


def test_names_that_lead_out_of_data_are_not_read(project: Path, dataset_config: Read) -> None:
    (project / "outside").write_bytes(b"")
    for name in ("../outside", str(project / "outside"), "planetoid/../../outside"):
        with pytest.raises(UserError, match=r"is not in raw_files\.tsv"):
            raw_paths(dataset_config("cora", files=[name]))


def test_corrupt_file(project: Path, dataset_config: Read) -> None:
    (project / "data" / X).write_bytes(b"torn")
    with pytest.raises(UserError, match=rf"^data/{X} is corrupt"):
        raw_paths(dataset_config("cora"))


def test_own_file(tmp_path: Path, dataset_config: Read, use_root: Callable[[Path], Path]) -> None:
    use_root(tmp_path)
    own = tmp_path / "own.npz"
    config = dataset_config("npz", path=str(own))
    with pytest.raises(UserError, match=r"own\.npz is missing: dataset\.path must be a file, or a folder if"):
        check(config)
    own.write_bytes(b"anything")
    check(config)
    assert raw_paths(config) == [own]
    assert raw_hashes(config) == {"own.npz": sha256(own)}


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "..", "a" * 300])
def test_no_name_of_a_dataset_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    settings = compose_settings(["dataset=csbm", "rewiring=random"])
    config = replace(settings.dataset, name=name)
    for path in (prepared_file(config, tmp_path), mapped_folder(config, "0123456789", tmp_path).parent):
        assert path.parent == tmp_path and ".." not in path.parts
    path = statistics_file(replace(settings, dataset=config), tmp_path)
    assert path.parent == tmp_path / "rewired" and len(path.name) < 255


def test_prepared_file(project: Path, tmp_path: Path, dataset_config: Read) -> None:
    config = dataset_config("cora")
    assert prepared_file(config) == project / "prepared" / "cora.pt"
    assert prepared_file(config, tmp_path) == tmp_path / "cora.pt"


def _pretend_prepared(project: Path) -> None:
    (project / "prepared").mkdir()
    (project / "prepared" / "cora.pt").write_bytes(b"anything")


def test_check_before_anything_is_prepared(project: Path, dataset_config: Read) -> None:
    check(dataset_config("cora"))
    (project / "data" / X).unlink()
    with pytest.raises(UserError, match="is missing: run `depthlab fetch --dataset cora`"):
        check(dataset_config("cora"))


def test_check_sees_a_corrupt_file_behind_a_prepared_one(project: Path, dataset_config: Read) -> None:
    _pretend_prepared(project)
    check(dataset_config("cora"))
    (project / "data" / X).write_bytes(b"torn")
    with pytest.raises(UserError, match=rf"^data/{X} is corrupt"):
        check(dataset_config("cora"))


def test_check_needs_no_raw_files_behind_a_prepared_one(project: Path, dataset_config: Read) -> None:
    _pretend_prepared(project)
    shutil.rmtree(project / "data")
    check(dataset_config("cora"))
