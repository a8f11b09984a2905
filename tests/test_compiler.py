"""Compilation on first use: its cache, several processes at once, and what happens where it fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from depthlab import compiler
from depthlab.compiler import KERNEL, LAYERS, CompileError, library
from depthlab.config.errors import UserError
from depthlab.folders import SOURCE

FUNCTION = 'extern "C" int answer() { return %d; }\n'
PROGRAM = "import ctypes, sys; from pathlib import Path; from depthlab.compiler import library;"
GCNII, GAT = ["depthlab.nn.gcnii.GCNII"], ["depthlab.nn.gat.GAT"]
HAS_COMPILER = compiler.kernel() is not None
needs_compiler = pytest.mark.skipif(not HAS_COMPILER, reason="nothing can be compiled here")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "depthlab"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "answer.cpp"
    path.write_text(FUNCTION % 42)
    return path


def answers(*sources: Path) -> list[int]:
    """What processes that compile at the same time get from the function."""
    code = f"{PROGRAM} print(ctypes.CDLL(str(library(Path(sys.argv[1])))).answer())"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(one)], stdout=subprocess.PIPE, text=True) for one in sources
    ]
    return [int(process.communicate()[0]) for process in processes]


@pytest.mark.skipif(not any(map(shutil.which, compiler.COMPILERS)), reason="no compiler is installed")
def test_a_compiler_that_is_installed_compiles_the_layers() -> None:
    """Otherwise all tests of the compiled layers are skipped."""
    assert compiler._loaded() is not None


@needs_compiler
def test_a_file_is_compiled_once(source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = library(source)
    monkeypatch.setattr(compiler, "_compile", lambda _: pytest.fail("it was compiled again"))
    assert library(source) == made and list(cache.iterdir()) == [made]


@needs_compiler
def test_another_source_is_another_library(source: Path) -> None:
    first = library(source)
    source.write_text(FUNCTION % 43)
    assert library(source) != first and answers(source) == [43]


@needs_compiler
def test_another_processor_and_other_flags_are_another_library(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {library(source)}
    monkeypatch.setattr(compiler, "_processor", lambda: "another")
    made.add(library(source))
    monkeypatch.setattr(compiler, "FLAGS", (*compiler.FLAGS, "-O1"))
    assert len({*made, library(source)}) == 3


@needs_compiler
def test_processes_may_compile_at_the_same_time(source: Path, cache: Path) -> None:
    assert answers(source, source, source) == [42, 42, 42]
    assert len(list(cache.iterdir())) == 1


@needs_compiler
def test_what_a_compiler_refuses_is_said_and_not_tried_again(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source.write_text("this is no C++")
    with pytest.raises(CompileError, match=r"could not compile the layers \(.*error.*\)"):
        library(source)
    monkeypatch.setattr(compiler, "_compile", lambda _: pytest.fail("it was tried again"))
    with pytest.raises(
        CompileError, match=r"could not compile the layers .*; `python -m depthlab.compiler` tries again"
    ):
        library(source)


@needs_compiler
def test_a_link_is_called_by_its_name_and_arguments_are_passed_on(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ccache is: a link of a compiler's name to it, or `CXX="ccache g++"`."""
    real, wrapper, link = compiler._compiler()[0], tmp_path / "wrapper", tmp_path / "link"
    wrapper.write_text(f'#!/bin/sh\ncase "$0" in *link) exec {real} "$@";; *) exec "$@";; esac\n')
    wrapper.chmod(0o700)
    link.symlink_to(wrapper)
    made = set()
    for command in (str(link), f"{wrapper} {real}"):
        monkeypatch.setenv("CXX", command)
        made.add(library(source))
    assert len(made) == 2


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"CXX": "", "PATH": ""}, "no C++ compiler is installed (g++ or clang++)"),
        ({"CXX": "no-such-compiler"}, "CXX=no-such-compiler is not a compiler that is installed"),
        ({"CXX": "false"}, "could not compile the layers (exit code 1)"),
        pytest.param({"XDG_CACHE_HOME": "/dev/null"}, "cannot be kept in /dev/null/depthlab", marks=needs_compiler),
    ],
)
def test_without_a_library_torch_runs_the_layers_and_one_line_says_so(
    variables: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in ({KERNEL: "auto"} | variables).items():
        monkeypatch.setenv(name, value)
    compiler._loaded.cache_clear()
    try:
        assert compiler.kernel() is None and compiler.path_taken(GCNII) == "plain"
    finally:
        compiler._loaded.cache_clear()
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and f"{KERNEL}=plain hides this line" in said
    assert os.environ[KERNEL] == "plain"  # which child processes inherit


def test_the_environment_forces_the_plain_path(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(KERNEL, "plain")
    assert compiler.kernel() is None and compiler.path_taken(GCNII) == "plain"
    assert capsys.readouterr().err == ""
    monkeypatch.setenv(KERNEL, "fast")
    with pytest.raises(UserError, match=f"{KERNEL}=fast is not known: use auto or plain"):
        compiler.kernel()


def test_the_path_taken_names_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "kernel", lambda: object())
    before = compiler.path_taken(GCNII)
    edited = tmp_path / "layers.cpp"
    edited.write_text(LAYERS.read_text() + "\n")
    monkeypatch.setattr(compiler, "LAYERS", edited)
    assert before not in ("plain", None, compiler.path_taken(GCNII))


def test_make_setup_compiles_or_says_why_not(source: Path) -> None:
    environment = {"PYTHONPATH": str(SOURCE), "PATH": "", "HOME": str(source.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "depthlab.compiler"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr == "no C++ compiler is installed (g++ or clang++): torch runs the layers, more slowly\n"


def test_other_networks_have_no_path() -> None:
    assert compiler.path_taken(GAT) is None
