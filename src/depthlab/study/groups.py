"""Groups the runs of a study that are trained together as replicas: they differ in seed or split alone."""

from collections import Counter
from collections.abc import Sequence

from depthlab.config.schema import Settings
from depthlab.config.settings import config_hash
from depthlab.data.prepare import load
from depthlab.study.grid import PlannedRun
from depthlab.study.work import Job
from depthlab.training.replicas import refuse

TOGETHER = 10  # largest group of replicas=auto
# entries of a state (nodes times hidden) up to which replicas were measured to be faster: Cora has 173,312
STATE = 200_000
VARIED = ("seed", "split", "split_seed")


def group(jobs: Sequence[Job], replicas: str | int, workers: int) -> list[tuple[Job, ...]]:
    """The jobs in groups of replicas, ordered by the first job of each; a group of one is an ordinary run.

    Args:
        replicas: the largest group; `auto` is ten, fewer if a worker would be idle, and one for large states.
        workers: number of workers.
    """
    size = TOGETHER if replicas == "auto" else int(replicas)
    if replicas == "auto":
        size = max(1, min(size, -(-len(jobs) // workers)))
    nodes: dict[str, int] = {}
    groups: list[list[Job]] = []
    open_groups: dict[str, list[Job]] = {}
    replicable: dict[str, bool] = {}
    kinds = [_kind(job.run) for job in jobs]
    counts = Counter(kinds)
    for job, kind in zip(jobs, kinds, strict=True):
        if kind not in replicable:
            replicable[kind] = min(size, counts[kind]) > 1 and can_replicate(job.run.settings)
        together = replicable[kind] and (replicas != "auto" or _small(job.run, nodes))
        members = open_groups.get(kind) if together else None
        if members is None or len(members) >= size:
            members = []
            groups.append(members)
            if together:
                open_groups[kind] = members
        members.append(job)
    return [tuple(members) for members in groups]


def can_replicate(settings: Settings) -> bool:
    """Whether runs of these settings can be trained together."""
    try:
        refuse(settings)
    except Exception:  # the run itself reports what is wrong
        return False
    return True


def _small(run: PlannedRun, known: dict[str, int]) -> bool:
    """Whether its states are small; `known` caches the number of nodes by dataset."""
    config = run.settings.dataset
    if str(config) not in known:
        known[str(config)] = load(config)[0].num_nodes
    return known[str(config)] * run.settings.hidden <= STATE


def _kind(run: PlannedRun) -> str:
    return f"{run.method} {run.dataset} {config_hash(run.settings, without=VARIED)}"
