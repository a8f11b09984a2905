"""Helpers for tests that start commands."""

import subprocess

import pytest


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    """Read a command's messages up to the first with these words, and return it."""
    assert process.stderr is not None
    read = []
    for line in process.stderr:
        read.append(line)
        if words in line:
            return line
    pytest.fail(f"the command ended before '{words}': {''.join(read)}")
