"""Lightning is told the place of a process."""

from depthlab.training.environment import Environment
from depthlab.training.place import Place


def test_the_place_answers() -> None:
    answers = Environment(Place(number=5, count=8, local=1, node=2))
    answers.set_world_size(3)
    answers.set_global_rank(0)
    found = answers.world_size(), answers.global_rank(), answers.local_rank(), answers.node_rank()
    assert found == (8, 5, 1, 2)
    assert answers.creates_processes_externally and not Environment.detect()
