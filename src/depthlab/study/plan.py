"""Compares the planned runs of a study with the recorded ones. Imports nothing heavy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from depthlab.data.hashes import data_hash, rewired_hash
from depthlab.study.grid import PlannedRun
from depthlab.tracking.search import Recorded
from depthlab.training.identity import code_hash


@dataclass
class Plan:
    """The planned runs of a study and their recorded results.

    Attributes:
        runs: all planned runs.
        data: hash of the data, including the rewiring, by the hash of the planned run.
        done: recorded result by the hash of the planned run.
        todo: planned runs without a result.
        other_code: hashes of planned runs whose result is of another version of the code, whether it is used or not.
        earlier: number of recorded results of versions of the program that hashed settings differently.
    """

    runs: list[PlannedRun]
    data: dict[str, str]
    done: dict[str, Recorded] = field(default_factory=dict)
    todo: list[PlannedRun] = field(default_factory=list)
    other_code: set[str] = field(default_factory=set)
    earlier: int = 0

    def add(self, recorded: Iterable[Recorded]) -> None:
        """Add results of the present code that were recorded after the plan was made; the runs stay in `todo`."""
        results = {one.identity: one for one in recorded if one.is_result}
        for run in self.todo:
            result = results.get((run.hash, self.data[run.hash]))
            if result and result.tags.get("code_hash") == code_hash(run.settings.targets):
                self.done[run.hash] = result


def make_plan(runs: Sequence[PlannedRun], recorded: Iterable[Recorded], same_code: bool) -> Plan:
    """Look up every planned run among the recorded runs.

    Args:
        runs: the planned runs.
        recorded: all recorded runs, the oldest first: the latest one with the same hashes counts.
        same_code: whether only runs with the present code count as done.

    Raises:
        UserError: a file of a dataset is missing.
    """
    datasets = {id(run.settings.dataset): run.settings.dataset for run in runs}  # equal for all runs of a method
    texts = {key: str(dataset) for key, dataset in datasets.items()}
    hashes = {text: data_hash(dataset) for text, dataset in {texts[key]: datasets[key] for key in texts}.items()}
    data = {run.hash: rewired_hash(hashes[texts[id(run.settings.dataset)]], run.settings) for run in runs}
    plan = Plan(list(runs), data)
    results = {one.identity: one for one in recorded if one.is_result}
    plan.earlier = sum("config_hash" in result.tags and "resume_hash" not in result.tags for result in results.values())
    for run in plan.runs:
        result = results.get((run.hash, plan.data[run.hash]))
        other = result is not None and result.tags.get("code_hash") != code_hash(run.settings.targets)
        if other:
            plan.other_code.add(run.hash)
        if result is None or (other and same_code):
            plan.todo.append(run)
        else:
            plan.done[run.hash] = result
    return plan
