"""Replicas: runs that differ only in seed or split, trained together as one batched network.

Each is recorded, stopped, tested, measured and saved like an ordinary run, and takes no more time once it has ended.
"""

import resource
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from itertools import groupby

from filelock import FileLock, Timeout
from torch import Tensor

from depthlab.config.errors import ResumeError, TakenError, UserError
from depthlab.config.schema import Settings
from depthlab.nn.stacking import can_stack
from depthlab.tracking.loggers import check_loggers
from depthlab.tracking.run import check_run
from depthlab.training.allocator import keep_freed_blocks
from depthlab.training.build import make_network
from depthlab.training.checkpoint import read_checkpoint, without_damaged_checkpoint
from depthlab.training.claim import open_record
from depthlab.training.experiment import Data, experiment, read_data
from depthlab.training.fit import quiet_libraries
from depthlab.training.identity import FINAL, LAST, LOCK, checkpoint_folder, identity_of, resumable
from depthlab.training.member import Member
from depthlab.training.memory import check_memory
from depthlab.training.prepared import use_threads
from depthlab.training.progress import ReplicasBar
from depthlab.training.replica_settings import obstacle
from depthlab.training.result import Result, describe, mlflow_run_id
from depthlab.training.run_name import run_name
from depthlab.training.signals import (
    deferred_signals,
    handling_signals,
    interruptible,
    interruption_message,
    stop_handler,
)
from depthlab.training.stacked import Replicas

Labels = dict[str, str]
SPARE = 100  # open files of a process besides the locks of its runs


def run_replicas(
    settings: Sequence[Settings],
    provenances: Sequence[Mapping[str, str]],
    labels: Sequence[Labels] | None = None,
    reuse: str | None = None,
) -> Iterator[Result]:
    """Train runs together; yields each result once it is recorded.

    Args:
        settings: of each run; they differ only in seed and split. With `ckpt=last` interrupted runs are resumed, and
            finished ones are left out.
        provenances, labels: of each run, as for `depthlab.training.run.run`.
        reuse: for the runs of a study, as for `depthlab.training.run.run`: runs that another command trains are left
            out, and a run whose checkpoint cannot be resumed starts over.

    Raises:
        UserError: the runs cannot be trained together, or as for `depthlab.training.run.run`.
        KeyboardInterrupt: after the unfinished runs have written their checkpoints and are closed as interrupted.
    """
    quiet_libraries()
    refuse(settings[0])
    check_loggers(settings[0].logger)
    use_threads(settings[0].trainer)
    rows = list(zip(settings, provenances, labels or [{} for _ in settings], strict=True))
    if all(single.ckpt == "last" for single in settings):
        rows = [row for row in rows if not _finished(row[0])] or rows
    first = rows[0][0]
    _check_files(len(rows))
    data = read_data(first)
    tasks = [data.task(single) for single, *_ in rows]
    check_memory(first, data.graph, tasks[0], len(rows))  # before thousands of folders are created
    with ExitStack() as locks:
        free = []
        for row in rows:
            folder = checkpoint_folder(row[0])
            folder.mkdir(parents=True, exist_ok=True)
            try:
                locks.enter_context(FileLock(folder / LOCK, blocking=False))
                free.append(row)
            except Timeout:
                if reuse is None:
                    name = run_name(row[0])
                    raise TakenError(f"{name} is being trained already with the same settings: wait for it") from None
        members = sorted(_members(free, reuse, data), key=lambda member: -member.epochs)
        groups = [list(alike) for _, alike in groupby(members, key=lambda member: member.epochs)]
        for number, alike in enumerate(groups):  # all replicas of a group share the step number of the optimizer
            requested = yield from _train(alike, len(free), reuse)
            if requested and number + 1 < len(groups):  # the other groups keep their checkpoints
                waiting = groups[number + 1][0]
                raise KeyboardInterrupt(interruption_message(waiting.folder / LAST, waiting.epochs))


def refuse(settings: Settings) -> None:
    """Raise UserError if runs with these settings cannot be trained as replicas."""
    problem = obstacle(settings)
    if problem is None and not _can_stack(settings):
        name = settings.model.target.rpartition(".")[-1]
        problem = f"{name} cannot be trained as replicas, whose weights are stacked: leave replicas out"
    if problem:
        raise UserError(problem)


def _can_stack(settings: Settings) -> bool:
    """Whether networks with these settings can be stacked, tested with few channels."""
    narrow = replace(settings, hidden=8, dropout=0.5)
    return can_stack(lambda features, classes, seed: make_network(replace(narrow, seed=seed), features, classes))


def _finished(settings: Settings) -> bool:
    folder = checkpoint_folder(settings)
    return (folder / FINAL).is_file() and not (folder / LAST).is_file()


def _check_files(count: int) -> None:
    """Raise UserError if the limit on open files is too low for one lock per run."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if count + SPARE > limit:
        raise UserError(
            f"{count} runs at once need {count} open files, the limit is {limit}: use fewer replicas, or raise the"
            " limit (ulimit -n)"
        )


def _members(rows: Sequence[tuple[Settings, Mapping[str, str], Labels]], reuse: str | None, data: Data) -> list[Member]:
    """The runs, each with its split, its network and the checkpoint that it resumes from."""
    members = []
    for settings, provenance, labels in rows:
        prepared = experiment(replace(settings, memory="full"), data)
        identity = identity_of(settings, data.rewired.data_hash)
        folder, content = checkpoint_folder(settings), None
        try:
            path = resumable(without_damaged_checkpoint(settings, folder).ckpt, folder)
            content = read_checkpoint(path, identity) if path else None
            if content and settings.in_mlflow and (run_id := mlflow_run_id(content)):
                check_run(settings.tracking.store, settings.tracking.experiment, run_id)
        except ResumeError as error:
            if reuse is None:
                raise
            content = None
            print(f"{run_name(settings)} starts over: {error}", file=sys.stderr)
        members.append(Member(settings, provenance, labels, folder, identity, prepared, content))
    return members


def _train(members: list[Member], count: int, reuse: str | None) -> Generator[Result, None, bool]:
    """Train runs with the same number of finished epochs; returns whether an interruption was requested."""
    unfinished: list[Member] = []
    try:
        with interruptible():
            with deferred_signals():  # close a created run in any case
                for member in members:
                    tags = member.identity | member.labels | {"memory": "full", "replicas": str(count)}
                    with suppress(TakenError):
                        member.tracked = open_record(member.settings, member.provenance, tags, member.content, reuse)
                        unfinished.append(member)
            for member in unfinished:
                member.begin()
                describe(member.tracked, member.settings, member.provenance)
        for member in [member for member in unfinished if member.ended]:  # trained, but not recorded
            with interruptible():
                result = member.finish(member.model.state_dict())
            unfinished.remove(member)
            yield result
        return (yield from _epochs(unfinished)) if unfinished else False
    except (KeyboardInterrupt, GeneratorExit):  # GeneratorExit: the caller reads no further results
        with deferred_signals():
            for member in unfinished:
                member.tracked.abandon("KILLED", "interrupted")
        raise
    except Exception as error:
        with deferred_signals():
            for member in unfinished:
                member.tracked.abandon("FAILED", "failed", f"{type(error).__name__}: {error}")
        raise


def _epochs(unfinished: list[Member]) -> Generator[Result, None, bool]:
    """Train, and remove each run from `unfinished` once it is recorded; returns whether an interruption was requested.

    Raises:
        KeyboardInterrupt: an interruption was requested, and the unfinished runs have saved checkpoints.
    """
    keep_freed_blocks()
    members, settings = list(unfinished), unfinished[0].settings
    start = len(members[0].recorder.history)
    moments = [_moments(member) for member in members] if start else None
    replicas = Replicas([member.model for member in members], [member.graph for member in members], moments)
    bar = ReplicasBar(members, start) if settings.progress else None
    requested: list[bool] = []
    with handling_signals(stop_handler(lambda: requested.append(True))), bar.bar if bar else nullcontext():
        for epoch in range(start, settings.epochs):
            began = time.perf_counter()
            losses, scores = replicas.train(epoch), replicas.validate()
            seconds = (time.perf_counter() - began) / len(members)
            for index, member in enumerate(members):
                values = {"train_loss": losses[index]} | scores[index]
                member.end_epoch(epoch, values, replicas.weights(index), seconds)
            ended = [index for index, member in enumerate(members) if member.ended]
            if bar:
                bar.show(epoch, members, scores, now=bool(ended))
            due = bool(requested) or (epoch + 1) % settings.checkpoint_every == 0
            for index in range(len(members)) if due else ended:
                members[index].save(replicas, index)
            for index in ended:
                result = members[index].finish(replicas.weights(index))
                unfinished.remove(members[index])
                yield result
            if not unfinished:
                return bool(requested)
            if requested:
                for index, member in enumerate(members):
                    if member in unfinished and not due:  # the request came while other runs finished
                        member.save(replicas, index)
                raise KeyboardInterrupt(interruption_message(unfinished[0].folder / LAST, epoch + 1))
            if ended:
                replicas.keep([index for index in range(len(members)) if index not in ended])
                members = list(unfinished)
    return bool(requested)


def _moments(member: Member) -> list[dict[str, Tensor]]:
    assert member.content is not None
    adam = member.content["optimizer_states"][0]  # without a state for parameters that are not learned
    return [adam["state"].get(number, {}) for group in adam["param_groups"] for number in group["params"]]
