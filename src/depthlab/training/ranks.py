"""Several processes as one: how those of this machine are started, how they find and how they end each other."""

import contextlib
import functools
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore
from torch.distributed.rendezvous import rendezvous

from depthlab.cli import explain
from depthlab.config.errors import UserError
from depthlab.folders import SOURCE
from depthlab.training.device import gpu_of
from depthlab.training.environment import Environment
from depthlab.training.place import Place

MEET = timedelta(minutes=5)  # in which all processes have to be there
WORK = timedelta(days=7)  # in which one may evaluate while the others wait; one that ends is noticed at once
GRACE = 20.0  # seconds that this process has to end by itself after another has failed
RUNS = itertools.count()  # of processes that a launcher has started
READY = "ready"
T = TypeVar("T")


class Team:
    """The processes that train one network together, connected.

    Args:
        place: of this one.
        helpers: the processes that it has started.
    """

    def __init__(self, place: Place, helpers: "Helpers") -> None:
        self.place, self.helpers = place, helpers

    def agreed(self, make: Callable[[], T], same: Callable[[T], object]) -> T:
        """What `make` gives, once it has given every process something with the same `same`.

        Raises:
            UserError: it failed in another process, or the machines have other data, code or settings.
        """
        made, problem, found = None, None, None
        try:
            made = make()
            found = same(made)
        except Exception as error:
            problem = error
        sentence = (explain(problem) or f"{type(problem).__name__}: {problem}") if problem else None
        told: list[Any] = [None] * self.place.count
        with self.hearing():
            dist.all_gather_object(told, (sentence, found))
        if problem:
            raise problem
        for number, (failed, other) in enumerate(told):
            if failed:
                raise UserError(f"process {number} of the run failed: {failed}")
            if other != told[0][1]:
                raise UserError(f"process {number} has other settings, data or code than process 0: make them the same")
        return made  # type: ignore[return-value]

    @contextlib.contextmanager
    def hearing(self) -> Iterator[None]:
        """Inside, the loss of another process is a UserError that says why."""
        try:
            yield
        except Exception as error:
            if isinstance(error, UserError) or not _lost(error):
                raise
            raise UserError(self.helpers.reason(error)) from None

    def dismiss(self) -> None:
        """The others are not needed any more, and may end as they like."""
        self.helpers.closing = True

    def strategy(self, backend: str) -> DDPStrategy:
        """Lightning's, over the connection that there is."""
        return DDPStrategy(cluster_environment=Environment(self.place), process_group_backend=backend, timeout=WORK)


class Helpers:
    """The other processes of this machine, started by this one; they end when it does."""

    def __init__(self, settings: dict[str, Any], place: Place) -> None:
        self.closing = False
        self.processes = [
            _start(settings, replace(place, number=number, local=number)) for number in range(1, place.count)
        ]

    def meet(self, place: Place) -> None:
        """Wait until each has loaded its libraries, then tell it where process 0 answers."""
        for process in self.processes:
            assert process.stdin and process.stdout
            if process.stdout.readline().strip() != READY:
                raise UserError(self.reason())
        for process in self.processes:
            assert process.stdin
            process.stdin.write(f"{place.port}\n")
            process.stdin.flush()

    def watch(self) -> None:
        """End this process too when another fails: NCCL does not notice a lost connection, Gloo does."""
        for process in self.processes:
            threading.Thread(target=self._watch, args=(process,), daemon=True).start()

    def reason(self, error: Exception | None = None) -> str:
        """Why the first that failed did, as it says itself; else what `error` says of the connection."""
        for number, process in enumerate(self.processes, start=1):
            with contextlib.suppress(subprocess.TimeoutExpired):
                if process.wait(timeout=5) != 0:
                    assert process.stdout
                    said = process.stdout.read().strip()
                    why = said or f"it was ended by signal {-process.returncode}, or by its memory running out"
                    return f"process {number} of the run failed: {why}"
        why = f" ({str(error).strip().splitlines()[0]})" if error and str(error).strip() else ""
        gone = f"has ended, whose own message says why, or cannot be reached{why}"
        return f"another process of the run {gone}: go on with the same command and ckpt=last"

    def close(self) -> None:
        """End those that are still there."""
        self.closing = True
        for process in self.processes:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    stream.close()  # type: ignore[union-attr]

    def _watch(self, process: "subprocess.Popen[str]") -> None:
        if process.wait() != 0 and not self.closing:
            time.sleep(GRACE)
            if not self.closing:
                print(f"error: {self.reason()}", file=sys.stderr, flush=True)
                os._exit(1)


def _start(settings: dict[str, Any], place: Place) -> "subprocess.Popen[str]":
    path = os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-m", "depthlab.training.follow"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C is for this process, which tells the others
    )  # fmt: skip
    assert process.stdin
    process.stdin.write(json.dumps({"settings": settings, "place": place.plain(), "parent": os.getpid()}) + "\n")
    process.stdin.flush()
    return process


@contextlib.contextmanager
def team_of(place: Place, settings: dict[str, Any], announce: Callable[[], int] | None = None) -> Iterator[Team | None]:
    """Connects this process with the others, which process 0 starts unless a launcher has; at the end all are gone.

    A run of one process alone has no team.

    Args:
        announce: of a process that was started: says that it is ready and returns the port of process 0.

    Raises:
        UserError: the others do not come, or one of them ends before this one.
    """
    if settings["trainer"]["strategy"] != "ddp":
        yield None
        return
    helpers = Helpers(settings, place if place.leads and not place.launcher else replace(place, count=1))
    try:
        backend = backend_of(settings["trainer"])
        if backend == "nccl":
            place = replace(place, local=gpu_of(place))
            torch.cuda.set_device(place.local)  # which NCCL sends Python objects by
        try:
            store = _store(place, helpers, announce)
            if backend == "nccl":
                helpers.watch()
            dist.init_process_group(
                backend, store=store, rank=place.number, world_size=place.count, timeout=WORK, **_device(backend, place)
            )
        except (dist.DistError, TimeoutError) as error:
            where = f"{place.address}:{place.port}"
            raise UserError(
                f"the {place.count} processes of the run did not meet at {where} ({type(error).__name__}):"
                f" start all within {MEET.seconds // 60} minutes, where they reach each other"
            ) from None
        yield Team(place, helpers)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        helpers.close()


def backend_of(trainer: dict[str, Any]) -> str:
    """What the processes talk by."""
    return "nccl" if trainer["accelerator"] == "gpu" else "gloo"


def _store(place: Place, helpers: Helpers, announce: Callable[[], int] | None) -> Store:
    """Where the processes leave each other word, once all are there: Gloo would wait as long as for their work."""
    if place.launcher:
        number = next(RUNS)
        store: Store = PrefixStore(str(number), _launched(place))
        patience = WORK if number else MEET  # process 0 may still be evaluating the run before, of a multirun
    else:
        port, patience = announce() if announce else place.port, MEET
        store = TCPStore(place.address, port, place.count, place.leads, timeout=MEET, wait_for_workers=False)
        if place.leads:
            helpers.meet(replace(place, port=store.port))
    store.set(f"here {place.number}", "")
    store.wait([f"here {number}" for number in range(place.count)], patience)
    return store


@functools.cache
def _launched(place: Place) -> Store:
    """One for all runs of a multirun."""
    if place.launcher == "torchrun":  # its agent may hold the store already
        return next(rendezvous("env://", place.number, place.count, timeout=MEET))[0]
    return TCPStore(place.address, place.port, place.count, place.leads, timeout=MEET, wait_for_workers=False)


def _device(backend: str, place: Place) -> dict[str, Any]:
    return {"device_id": torch.device("cuda", place.local)} if backend == "nccl" else {}


def _lost(error: BaseException) -> bool:
    """Whether an error says that the connection to another process is gone."""
    words = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "gloo", "NCCL", "recvBytes")
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(w in str(error) for w in words)
    )
