"""One sweep from start to end: study, trials, figures, test on fresh seeds, recipe."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import optuna
from omegaconf import DictConfig
from optuna.trial import TrialState

from depthlab.address import STORAGE, recordable
from depthlab.config.errors import UserError
from depthlab.dask_cluster import connect
from depthlab.folders import checkpoints, sweeps
from depthlab.parallel import Stop, Workers, execute, local
from depthlab.sweep.confirm import confirm
from depthlab.sweep.figures import figures, importances
from depthlab.sweep.prune import make_pruner
from depthlab.sweep.queue import FIXED, REASON, RUN, Owner, ask, finished_trials, ownership, recover, release
from depthlab.sweep.search import Search
from depthlab.sweep.space import Value, grid
from depthlab.sweep.storage import open_storage, open_study
from depthlab.sweep.summary import Progress, summary
from depthlab.sweep.trial import Task, tell_failed, work
from depthlab.text import file_name
from depthlab.tracking.run import TrackedRun
from depthlab.tracking.search import PARENT, Records
from depthlab.tracking.ui import how_to_see
from depthlab.training.experiment import experiment
from depthlab.training.fit import quiet_libraries
from depthlab.training.identity import code_hash

LEARNING = ("tpe", "gp")  # samplers that use the results so far
NOT_REPEATABLE = (
    "{count} trials run at the same time, so the order in which they end decides what is tried next and what is pruned:"
    " the same command may run other trials next time; with one worker (jobs=1) it repeats them"
)


def run_sweep(name: str, search: Search, config: DictConfig) -> bool:
    """Run the remaining trials, then test the best on fresh seeds; returns whether every trial has a result.

    Args:
        name: of the sweep.
        config: conf/sweep.yaml as composed.

    Raises:
        UserError: the storage, the store or the cluster cannot be used, or the name belongs to another sweep.
        KeyboardInterrupt: after running trials have been queued again.
    """
    quiet_libraries()
    tracking = search.config.tracking
    records = Records(tracking.uri, tracking.experiment)
    address = config.storage or os.environ.get(STORAGE) or str(sweeps() / f"{file_name(name)}.journal")
    # absolute, because workers of a cluster have other working directories
    address = recordable(address, "storage") if "://" in address else str(Path(os.path.expanduser(address)).absolute())  # noqa: PTH111
    content = search.content() | {"data": check_baseline(search)}
    pruner = make_pruner(config.pruner, search.config.epochs, len(search.trainings()))
    study = open_study(open_storage(address), name, search.directions, content, pruner)
    check_code(study, code_hash(search.settings(search.baseline, search.trainings()[0]).targets))
    stores = {"tracking.uri": records.uri, "storage": address}
    workers = connect(config.scheduler, stores) if config.backend == "dask" else local(config.jobs)
    if workers.count > 1 and (config.sampler in LEARNING or config.pruner != "none"):
        print(NOT_REPEATABLE.format(count=workers.count))
    checkpoints().mkdir(parents=True, exist_ok=True)
    with ownership(study, checkpoints()) as owner:
        trials = _prepare(study, search, config, owner, records)
        tracked = _parent(study, records, search, config)
        try:
            try:
                interrupted, trouble = _run_trials(study, search, config, owner, workers, trials, tracked, address)
            finally:
                release(study, owner)
                _close_abandoned(study, records)
            shares = importances(study)
            _record(study, search, tracked, shares)
        except BaseException:
            tracked.abandon("KILLED", "interrupted")
            raise
        if interrupted:
            tracked.finish("KILLED", "interrupted")
        elif {trial.state for trial in finished_trials(study)} == {TrialState.FAIL}:
            tracked.finish("FAILED", "failed")
        else:
            tracked.finish("FINISHED", "finished")
    print(summary(study, search, shares, how_to_see(records.uri, records.experiment_id, tracked.run_id)))
    done = f"{len(finished_trials(study))} of {trials} trials"
    if interrupted:
        raise KeyboardInterrupt(f"interrupted after {done}: the same command continues")
    if trouble:
        raise UserError(f"{trouble}; {done} are done, the same command continues")
    running = len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
    if running:
        print(f"{running} trials of other commands are running: the command that ends last tests the best")
        return True
    failed = any(trial.state == TrialState.FAIL for trial in finished_trials(study)) and len(search.objectives) == 1
    tested = len(search.objectives) > 1 or confirm(name, study, search, config)
    return tested and not failed


def check_code(study: optuna.Study, code: str) -> None:
    """Record the code hash of the first trials; print a notice if a resumed sweep has another one."""
    if "code" not in study.user_attrs:
        study.set_user_attr("code", code)
    elif study.user_attrs["code"] != code and (trials := len(finished_trials(study))):
        print(f"{trials} trials were run by another version of the code, and count: study_name=... starts without them")


def check_baseline(search: Search) -> str:
    """Hash of the data; raises UserError if a split does not exist or the network of the baseline cannot work."""
    for split in search.splits:
        made = experiment(search.settings(search.baseline, {"seed": 0} | split))
    return made.data.rewired.data_hash


def _prepare(study: optuna.Study, search: Search, config: DictConfig, owner: Owner, records: Records) -> int:
    """Queue trials of killed commands, the baseline and the grid; returns the planned number of trials."""
    recover(study, owner)
    _close_abandoned(study, records)
    trials, first = int(config.trials), [search.baseline]
    if config.sampler == "grid":
        every = grid(search.space)
        trials = min(trials, len(every))
        first += [params for params in every if params != search.baseline]
    with owner.lock:  # at the first start all of them; later those that a kill prevented
        known = [trial.system_attrs.get(FIXED, trial.params) for trial in study.get_trials(deepcopy=False)]
        for params in first:
            if params not in known:
                study.enqueue_trial(params)
    return trials


def _close_abandoned(study: optuna.Study, records: Records) -> None:
    """Close runs with status RUNNING whose trials are not running: their processes were killed."""
    running = {str(trial.number) for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))}
    condition = f"attributes.status = 'RUNNING' and tags.kind = 'trial' and tags.sweep = '{study.study_name}'"
    for run in records.runs(condition):
        if run.tags.get(PARENT, "") == study.user_attrs.get(RUN) and run.tags["trial"] not in running:
            with contextlib.suppress(UserError):  # another command closed it first
                records.close(run.run_id, "interrupted")


def _parent(study: optuna.Study, records: Records, search: Search, config: DictConfig) -> TrackedRun:
    """The sweep's run in MLflow; that of an earlier start is resumed."""
    name = study.study_name
    known = {run.run_id for run in records.runs(f"tags.kind = 'sweep' and tags.sweep = '{name}'")}
    run_id = study.user_attrs.get(RUN)
    settings = {f"space.{key}": str(values) for key, values in search.space.items()}
    settings |= {key: str(config[key]) for key in ("trials", "sampler", "pruner")}
    settings |= {"objective": ", ".join(search.objectives), "trainings": str(len(search.trainings()))}
    tags = {"kind": "sweep", "sweep": name, "dataset": search.dataset, "model": search.network}
    tags |= {"depth": str(search.config.depth), "outcome": "running"}
    tracked = TrackedRun(
        records.uri, records.experiment, f"sweep {name}", settings, tags, run_id=run_id if run_id in known else None
    )
    if tracked.run_id != run_id:
        study.set_user_attr(RUN, tracked.run_id)
    return tracked


def _run_trials(
    study: optuna.Study,
    search: Search,
    config: DictConfig,
    owner: Owner,
    workers: Workers,
    trials: int,
    tracked: TrackedRun,
    address: str,
) -> tuple[bool, str]:
    """Run trials until enough have started; returns whether it was interrupted, and an error of the store or disk."""

    def sampler(number: int) -> optuna.samplers.BaseSampler:
        seed = int(hashlib.md5(f"{config.sampler_seed} {number}".encode()).hexdigest()[:8], 16)
        if config.sampler == "gp":
            return optuna.samplers.GPSampler(seed=seed, deterministic_objective=False)
        if config.sampler == "tpe":
            return optuna.samplers.TPESampler(seed=seed)
        return optuna.samplers.RandomSampler(seed=seed)

    def tasks() -> Iterator[Task]:
        while not trouble and (trial := ask(study, search.space, trials, sampler, owner)) is not None:
            params: dict[str, Value] = trial.params
            try:
                settings = [
                    replace(search.settings(params, training), progress=False) for training in search.trainings()
                ]
            except UserError as error:
                trial.set_user_attr(REASON, str(error))
                study.tell(trial.number, state=TrialState.PRUNED if len(search.objectives) == 1 else TrialState.FAIL)
                continue
            yield Task(
                address, study.study_name, config.pruner, trial.number, trial._trial_id, owner.address,
                tuple(search.objectives), params, settings, tracked.run_id,
            )  # fmt: skip

    trouble: list[str] = []
    with (
        Stop(workers.stopping("running trials are queued again")) as stop,
        Progress(study, search, trials, workers.count) as progress,
    ):
        for done in execute(progress.starting(tasks()), work, workers, stop):
            if done.outcome == "failed" and not tell_failed(study, done.task, done.sentence):
                trouble.append(done.sentence)
            progress.show(done)
    return stop.requested, trouble[0] if trouble else ""


def _record(study: optuna.Study, search: Search, tracked: TrackedRun, shares: dict[str, float]) -> None:
    """Record the sweep so far on its run: the best value by trial, the importances, the figures."""
    complete = [trial for trial in finished_trials(study) if trial.state == TrialState.COMPLETE]
    for k, (name, direction) in enumerate(zip(search.objectives, search.directions, strict=True)):
        known, best = tracked.steps(f"best/{name}"), None
        better = max if direction == "maximize" else min
        for trial in complete:
            value = float(trial.values[k])
            best = value if best is None else better(best, value)
            if trial.number not in known:
                tracked.log({f"best/{name}": best, f"value/{name}": value}, trial.number)
    for key, share in shares.items():
        if len(complete) not in tracked.steps(f"importance/{key}"):  # no new trial since the last start
            tracked.log({f"importance/{key}": share}, len(complete))
    for file, picture, page in figures(study, search, shares):
        tracked.figure(picture, f"{file}.png", tight=True)  # Optuna draws beyond its axes
        tracked.text(page, f"{file}.html")
