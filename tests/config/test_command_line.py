"""What was typed, as Hydra sees it."""

import os

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from depthlab.address import STORAGE, TRACKING
from depthlab.config.command_line import Options, for_hydra
from depthlab.config.compose import compose_settings
from depthlab.config.errors import UserError


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (TRACKING, STORAGE):
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize("name", ["2026_11_29", "1e3", "007", "true", "1_0", "-.5", "nan", "nano", "a b", "1.2.3"])
def test_names_stay_strings(name: str) -> None:
    assert compose_settings(for_hydra([f"tracking.experiment={name}"])).tracking.experiment == name


def test_lists_sweeps_and_null() -> None:
    assert for_hydra(["only=[1_0,GCN]", "tracking.experiment=1e3,b", "ckpt=null", "depth=1_0", "-m"]) == [
        "only=['1_0',GCN]", "tracking.experiment='1e3',b", "ckpt=null", "depth=1_0", "-m",
    ]  # fmt: skip
    twice = for_hydra(for_hydra(["tracking.experiment='1e3'", "name=1e3"]))
    assert twice == ["tracking.experiment='1e3'", "name='1e3'"]


@pytest.mark.parametrize(
    ("typed", "variable", "secret", "seen"),
    [
        ("tracking.uri=http://me:w,[=%20&d@h", TRACKING, "http://me:w,[=%20&d@h", None),
        ("tracking.uri=http://me:w,{=%20&d'@h", TRACKING, "http://me:w,{=%20&d'@h", "http://***@h"),
        ('++tracking.uri="http://me:word@h"', TRACKING, "http://me:word@h", "http://***@h"),
        (
            "storage=postgresql://me:word@h/d?a=b",
            STORAGE,
            "postgresql://me:word@h/d?a=b",
            "postgresql://me:***@h/d?a=***",
        ),
        ("tracking.uri=http://[::1", TRACKING, "", "http://[::1"),
        ("storage=my.journal", STORAGE, "", "my.journal"),
    ],
)
def test_addresses_reach_hydra_masked(typed: str, variable: str, secret: str, seen: str | None) -> None:
    if seen is None:
        with pytest.raises(UserError, match="write %40 for @"):
            for_hydra([typed])
        return
    (word,) = for_hydra([typed])
    assert OverridesParser.create().parse_override(word).value() == seen
    assert os.environ[variable] == secret
    assert for_hydra([word]) == [word]


def test_several_addresses() -> None:
    assert for_hydra(["tracking.uri=http://a,http://b"]) == ["tracking.uri=http://a,http://b"]
    with pytest.raises(UserError, match=r"^tracking\.uri has more than one address, .*: give a single address$"):
        for_hydra(["tracking.uri=http://a,http://me:word@b"])


def test_storage_that_is_neither_file_nor_address() -> None:
    with pytest.raises(UserError, match=r"^storage must be a file or an address") as error:
        for_hydra(["storage=postgresql:/me:word@h/d"])
    assert "word" not in str(error.value)


@pytest.mark.parametrize("words", [["cora"], ["--port", "abc"], ["--prot", "5000"]])
def test_wrong_options_end_in_one_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    options = Options(prog="depthlab ui")
    options.add_argument("--port", type=int)
    with pytest.raises(SystemExit) as end:
        options.parse_args(words)
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (1, "") and err.count("\n") == 1
    assert err.startswith("error: ") and words[-1] in err and "type `depthlab ui --help`" in err
