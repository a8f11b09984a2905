"""What of a study is done already and what is left to do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from depthlab.data.prepare import load
from depthlab.data.rewire import rewired_hash
from depthlab.study.grid import Cell
from depthlab.tasks.task import make_task
from depthlab.tracking.search import Recorded
from depthlab.training.identity import code_hash


@dataclass
class Plan:
    """A study's cells beside what is recorded of them.

    Attributes:
        cells: all of them.
        data: hash of the data of each cell, with its rewiring, by the cell's hash.
        done: run of each cell that has ended with a result, by the cell's hash.
        todo: the other cells.
        other_code: hashes of cells whose result is of other code than the present one, whether it counts or not.
        earlier: number of recorded results of versions of the program that hashed settings in another way.
    """

    cells: list[Cell]
    data: dict[str, str]
    done: dict[str, Recorded] = field(default_factory=dict)
    todo: list[Cell] = field(default_factory=list)
    other_code: set[str] = field(default_factory=set)
    earlier: int = 0


def make_plan(cells: Sequence[Cell], runs: Iterable[Recorded], same_code: bool) -> Plan:
    """Look up every cell among the recorded runs.

    Args:
        cells: of the study.
        runs: all recorded runs, oldest first: the latest run of a cell counts.
        same_code: whether only runs with the present code count as done.

    Raises:
        UserError: a dataset cannot be read, or its metric is undefined on a split of a cell.
    """
    hashes: dict[str, str] = {}
    for settings in {str(cell.settings["dataset"]): cell.settings["dataset"] for cell in cells}.values():
        dataset, hashes[str(settings)] = load(settings)
        of_it = [cell.settings for cell in cells if cell.settings["dataset"] == settings]
        for one in {(one["split"], one["split_seed"]): one for one in of_it}.values():
            make_task(one, dataset)
    data = {cell.hash: rewired_hash(hashes[str(cell.settings["dataset"])], cell.settings) for cell in cells}
    plan = Plan(list(cells), data)
    recorded = {run.identity: run for run in runs if run.is_result}
    plan.earlier = sum("config_hash" in run.tags and "resume_hash" not in run.tags for run in recorded.values())
    for cell in plan.cells:
        run = recorded.get((cell.hash, plan.data[cell.hash]))
        other = run is not None and run.tags.get("code_hash") != code_hash(cell.settings)
        if other:
            plan.other_code.add(cell.hash)
        if run is None or (other and same_code):
            plan.todo.append(cell)
        else:
            plan.done[cell.hash] = run
    return plan
