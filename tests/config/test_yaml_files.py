"""Every yaml file is read by the same rules, and a bad one ends in one sentence."""

from pathlib import Path

import pytest

from depthlab.config.errors import UserError
from depthlab.config.yaml_files import MAX_BYTES, read_mapping, read_yaml
from depthlab.folders import CHECKOUT

LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]\n" for k in range(1, 40))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{k}: &a{k} {{<<: [{', '.join([f'*a{k - 1}'] * 10)}]}}\n" for k in range(1, 9))
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{k}: &a{k} [*a{k - 1}]\n" for k in range(1, 3000))
BAD = {
    "billion laughs": (LAUGHS.encode(), "expands to more than 100,000 values: repeat less with aliases"),
    "merged laughs": (MERGES.encode(), "expands to more than 100,000 values"),
    "chain of aliases": (CHAIN.encode(), "is nested too deeply: at most 20 lists"),
    "deep": (b"a: " + b"[" * 100 + b"]" * 100, "is nested too deeply"),
    "very deep": (b"[" * 100_000, "is nested too deeply"),
    "itself": (b"a: &a [*a]", "line 1: a value contains itself"),
    "bytes": (b"a: \xff\xfe\x00\x81", "is not UTF-8 text: byte 4 cannot be read"),
    "control": (b"a: \x00b", "unacceptable character #x0000"),
    "large": (b"#" * (MAX_BYTES + 1), "is too large: a yaml file may have 1,048,576 bytes"),
    "unclosed": (b"a: [1,\nb: 2", "line 2: expected ',' or ']'"),
    "alias": (b"a: *b", "line 1: found undefined alias 'b'"),
    "twice": (b"a: 1\na: 2", "line 2: found duplicate key a"),
    "object": (b"a: !!python/object/apply:os.system [ls]", "line 1: !!python/object/apply:os.system is not allowed"),
    "set": (b"a: !!set {b, c}", "line 1: !!set is not allowed"),
    "binary": (b"a: !!binary aGk=", "line 1: !!binary is not allowed"),
    "own tag": (b"a: !x 1", "line 1: !x is not allowed"),
    "documents": (b"a: 1\n---\nb: 2", "line 2: but found another document"),
    "digits": (b"a: " + b"9" * 5000, "Exceeds the limit (4300 digits)"),
    "tab": (b"a:\n\tb: 1", "line 2: found character '\\t' that cannot start any token"),
    "mapping as key": (b"? {a: 1}\n: 2", "line 1: found unhashable key"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_ends_in_one_sentence(tmp_path: Path, name: str) -> None:
    content, sentence = BAD[name]
    path = tmp_path / "some.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_yaml(path)
    said = str(error.value)
    assert sentence in said and str(path) in said and "\n" not in said


MAPPINGS = {
    "a list": (b"- a\n- b", "must hold settings as key: value, got a list"),
    "a word": (b"just a word", "must hold settings as key: value, got just a word"),
    "a number": (b"3", "must hold settings as key: value, got 3"),
    "a long word": (b"x" * 1000, f"must hold settings as key: value, got {'x' * 40}..."),
    "a number as key": (b"3: a", "must be words, got 3"),
}


@pytest.mark.parametrize("name", MAPPINGS)
def test_what_is_no_mapping_is_refused(tmp_path: Path, name: str) -> None:
    content, sentence = MAPPINGS[name]
    (tmp_path / "some.yaml").write_bytes(content)
    with pytest.raises(UserError) as error:
        read_mapping(tmp_path / "some.yaml")
    assert str(error.value).endswith(sentence)


def test_a_file_that_is_not_there_or_may_not_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(UserError, match=r"^there is no file "):
            read_yaml(path)


@pytest.mark.parametrize("content", ["", "# a comment", "---"])
def test_an_empty_file_is_an_empty_mapping(tmp_path: Path, content: str) -> None:
    (tmp_path / "some.yaml").write_text(content)
    assert read_yaml(tmp_path / "some.yaml") is None
    assert read_mapping(tmp_path / "some.yaml") == {}


def test_numbers_and_dates_are_read_as_by_hydra(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text("a: 1e-1\nb: 5e3\nc: 2026-11-29\nd: &d [1, on]\ne: *d\nf: {<<: {x: 1}, y: é}\n")
    assert read_mapping(path) == {
        "a": 0.1, "b": 5000.0, "c": "2026-11-29", "d": [1, True], "e": [1, True], "f": {"x": 1, "y": "é"},
    }  # fmt: skip


def test_no_other_reader_is_used() -> None:
    own = {CHECKOUT / "src" / "depthlab" / "config" / "yaml_files.py"}
    for folder in ("src", "benchmarks"):
        for path in set((CHECKOUT / folder).rglob("*.py")) - own:
            text = path.read_text()
            assert "safe_load" not in text and "OmegaConf.load" not in text and "yaml.load" not in text, path


def test_what_was_read_can_be_changed_and_the_file_too(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: [1]")
    read_mapping(file)["a"].append(2)
    assert read_mapping(file) == {"a": [1]}
    file.write_text("a: [3]")
    assert read_mapping(file) == {"a": [3]}
