"""The queue of records: it keeps their order, batches metrics, and tries again."""

import threading

import pytest

from depthlab.tracking import outbox
from depthlab.tracking.outbox import BATCH, Outbox, Point


def metrics(count: int, key: str = "m") -> list[Point]:
    return [Point(key, float(step), 0, step) for step in range(count)]


def test_everything_is_sent_in_the_order_in_which_it_was_put_metrics_in_batches() -> None:
    sent: list[object] = []
    box = Outbox(lambda batch: sent.append([metric.step for metric in batch]), str, "store")
    box.put(*metrics(BATCH + 1), lambda: sent.append("file"), *metrics(2))
    box.drain(10.0)
    box.close()
    assert sent == [list(range(BATCH)), [BATCH], "file", [0, 1]]


def test_a_failed_batch_is_sent_again_and_reported_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(outbox, "FLUSH_SECONDS", 0.01)
    sent: list[int] = []
    failures: list[int] = []
    arrived = threading.Event()

    def send(batch: list[Point]) -> None:
        if len(failures) < 3:
            failures.append(1)
            raise OSError("password=x is refused")
        sent.extend(metric.step for metric in batch)
        arrived.set()

    box = Outbox(send, lambda text: text.replace("=x", "=***"), "http://store")
    box.put(*metrics(3))
    assert arrived.wait(10.0)
    box.close()
    error = capsys.readouterr().err
    assert sent == [0, 1, 2]
    assert error.count("the tracking store http://store does not answer (") == 1 and "=x" not in error


def test_drain_raises_the_error_after_its_time_and_keeps_what_is_not_sent() -> None:
    down = [True]
    sent: list[int] = []

    def send(batch: list[Point]) -> None:
        if down[0]:
            raise OSError("down")
        sent.extend(metric.step for metric in batch)

    box = Outbox(send, str, "store")
    box.put(*metrics(2))
    with pytest.raises(OSError, match="down"):
        box.drain(0.0)
    down[0] = False
    box.drain(10.0)
    box.close()
    assert sent == [0, 1]


def test_drain_does_not_wait_for_a_store_that_hangs() -> None:
    hangs = threading.Event()
    box = Outbox(lambda batch: None, str, "store")
    box.put(lambda: hangs.wait(10.0))
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        box.drain(0.05, patient=False)
    hangs.set()
    box.drain(10.0)
    box.close()


def test_metrics_wake_the_thread_only_if_they_change_when_it_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    box = Outbox(lambda batch: sent.extend(metric.step for metric in batch), str, "store", hold=60.0)
    woken: list[int] = []
    notify = box._change.notify_all

    def counted() -> None:
        woken.append(len(box._queue))
        notify()

    monkeypatch.setattr(box._change, "notify_all", counted)
    box.put(lambda: sent.append(-1))
    box.put(*metrics(1))  # ends what the first one waits for
    box.drain(10.0)
    assert sent == [-1, 0]
    woken.clear()
    for metric in metrics(4)[1:]:  # of three epochs; the thread waits for more of them
        box.put(metric)
    assert woken == [1] and sent == [-1, 0]
    box.put(lambda: sent.append(-2))
    box.drain(10.0)
    box.close()
    assert sent == [-1, 0, 1, 2, 3, -2]
