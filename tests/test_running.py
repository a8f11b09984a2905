"""The tasks that are running, and since when."""

import threading

import pytest

from depthlab.running import Running


def test_tasks_run_from_when_they_are_taken_until_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("depthlab.running.time.monotonic", lambda: now[0])
    first, second = {"run": 1}, {"run": 1}  # equal, but not the same
    running = Running[dict[str, int]](lambda: None)
    tasks = running.starting([first, second])
    assert running.seconds() == []
    assert next(tasks) is first
    now[0] = 5.0
    assert next(tasks) is second
    now[0] = 7.0
    assert running.seconds() == [(first, 7.0), (second, 2.0)]
    running.end(first)
    assert [(task is second, seconds) for task, seconds in running.seconds()] == [(True, 2.0)]


def test_it_tells_until_its_context_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthlab.running.INTERVAL", 0.01)
    told = threading.Event()
    before = threading.active_count()
    with Running[str](told.set):
        assert told.wait(30)
    for thread in threading.enumerate():
        if thread.name == "progress":
            thread.join(30)
    assert threading.active_count() <= before
