"""One sweep from start to end, in a straight line: study, trials, figures, fresh seeds, recipe."""

import hashlib
from collections.abc import Iterator

import optuna
from omegaconf import DictConfig
from optuna.trial import TrialState

from src.config import ROOT
from src.errors import UserError
from src.parallel import Stop, Workers, connect, execute, local
from src.sweep.confirm import confirm
from src.sweep.figures import figures, importances
from src.sweep.search import Search
from src.sweep.space import Value, grid
from src.sweep.storage import RUN, Owner, ask, ended, enqueue, open_storage, open_study, owning, recover
from src.sweep.summary import Board, summary
from src.sweep.trial import Task, make_pruner, tell_failed, work
from src.tracking.run import TrackedRun
from src.tracking.search import Records
from src.train.fit import quiet_libraries
from src.train.identity import CHECKPOINTS


def run_sweep(name: str, search: Search, config: DictConfig) -> bool:
    """Do the trials that are left, then test the best on fresh seeds; returns whether every trial had a result.

    Args:
        name: of the sweep.
        config: conf/sweep.yaml as composed.

    Raises:
        UserError: the storage, the store or the cluster cannot be used, or the name belongs to another sweep.
        KeyboardInterrupt: after the trials at work have been given back.
    """
    quiet_libraries()
    tracking = search.config.tracking
    records = Records(tracking.uri, tracking.experiment)
    address = config.storage or str(ROOT / "sweeps" / f"{name}.journal")
    points = search.points()
    pruner = make_pruner(config.pruner, search.config.epochs, len(points))
    study = open_study(open_storage(address), name, search.directions, search.content(), pruner)
    dask = config.backend == "dask"
    workers = connect(config.scheduler, [records.uri, address]) if dask else local(config.jobs)
    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    with owning(study, CHECKPOINTS) as owner:
        trials = _prepare(study, search, config, owner, records)
        tracked = _parent(study, records, search, config)
        try:
            interrupted, failed = _run_trials(study, search, config, owner, workers, trials, tracked, address)
            _record(study, search, tracked)
        except BaseException:
            tracked.abandon("KILLED", "interrupted")
            raise
        tracked.finish("KILLED" if interrupted else "FINISHED", "interrupted" if interrupted else "finished")
    print(summary(study, search, records, tracked.run_id))
    if interrupted:
        print(f"interrupted after {len(ended(study))} of {trials} trials: the same command goes on")
        raise KeyboardInterrupt
    if len(search.objectives) == 1:
        confirm(name, study, search, config)
    return not failed


def _prepare(study: optuna.Study, search: Search, config: DictConfig, owner: Owner, records: Records) -> int:
    """Give back what was left behind and line up what comes first; returns how many trials there are to be."""
    for trial in recover(study, owner):
        if RUN in trial.user_attrs:
            records.close(trial.user_attrs[RUN], "interrupted")
    with owner.turn:
        first = [] if study.get_trials(deepcopy=False) else [search.start]
        trials = int(config.trials)
        if config.sampler == "grid":
            every = grid(search.knobs)
            trials = min(trials, len(every))
            first = [*first, *(params for params in every if params != search.start)] if first else []
        for params in first:
            if all(search.knobs[key].holds(value) for key, value in params.items()):
                enqueue(study, params)
    return trials


def _parent(study: optuna.Study, records: Records, search: Search, config: DictConfig) -> TrackedRun:
    """The sweep's run in MLflow: that of the last start, if it is there."""
    name = study.study_name
    known = {run.run_id for run in records.runs(f"tags.kind = 'sweep' and tags.sweep = '{name}'")}
    run_id = study.user_attrs.get(RUN)
    settings = {f"space.{key}": str(knob) for key, knob in search.knobs.items()}
    settings |= {key: str(config[key]) for key in ("trials", "sampler", "pruner")}
    settings |= {"objective": ", ".join(search.objectives), "trainings": str(len(search.points()))}
    tags = {"kind": "sweep", "sweep": name, "dataset": search.config.dataset.name, "model": search.choices["model"]}
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
) -> tuple[bool, int]:
    """Returns whether it was interrupted, and how many trials failed."""

    def sampler(number: int) -> optuna.samplers.BaseSampler:
        seed = int(hashlib.md5(f"{config.sampler_seed} {number}".encode()).hexdigest()[:8], 16)
        if config.sampler == "gp":
            return optuna.samplers.GPSampler(seed=seed, deterministic_objective=False)
        if config.sampler == "tpe":
            return optuna.samplers.TPESampler(seed=seed)
        return optuna.samplers.RandomSampler(seed=seed)

    def tasks() -> Iterator[Task]:
        while (trial := ask(study, search.knobs, trials, sampler, owner)) is not None:
            params: dict[str, Value] = trial.params
            try:
                settings = [search.settings(params, point) | {"progress": False} for point in search.points()]
            except UserError as error:
                trial.set_user_attr("reason", str(error))
                study.tell(trial.number, state=TrialState.PRUNED if len(search.objectives) == 1 else TrialState.FAIL)
                continue
            yield Task(
                address, study.study_name, config.pruner, trial.number, trial._trial_id, tuple(search.objectives),
                params, settings, tracked.run_id,
            )  # fmt: skip

    failed = 0
    with Stop("trials at work are given back") as stop, Board(study, search, trials, workers.count) as board:
        for done in execute(tasks(), work, workers, stop):
            if done.outcome == "failed":
                failed += 1
                tell_failed(study, done.task.number, done.sentence)
            board.show(done)
    return stop.requested, failed


def _record(study: optuna.Study, search: Search, tracked: TrackedRun) -> None:
    """The sweep so far on its run: the best value by trial, what each knob mattered, the figures."""
    complete = [trial for trial in ended(study) if trial.state == TrialState.COMPLETE]
    for k, (name, direction) in enumerate(zip(search.objectives, search.directions, strict=True)):
        known, best = tracked.last_step(f"best/{name}"), None
        better = max if direction == "maximize" else min
        for trial in complete:
            value = float(trial.values[k])
            best = value if best is None else better(best, value)
            if trial.number > known:
                tracked.log({f"best/{name}": best, f"value/{name}": value}, trial.number)
    for key, share in importances(study).items():
        tracked.log({f"importance/{key}": share}, len(complete))
    for file, picture, page in figures(study, search):
        tracked.figure(picture, f"{file}.png")
        tracked.text(page, f"{file}.html")
