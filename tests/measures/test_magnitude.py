import math

import pytest
import torch

from depthlab.measures import MEASURES
from depthlab.measures.magnitude import max_abs


def test_the_largest_value_of_either_sign_in_any_node_and_channel() -> None:
    x = torch.tensor([[0.5, -3.0], [2.0, 1.0]])
    assert max_abs(x) == 3.0
    assert max_abs(-x) == max_abs(x[[1, 0]]) == max_abs(x[:, [1, 0]]) == 3.0
    assert max_abs(4 * x) == 12.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_diverged_state_shows(value: float) -> None:
    x = torch.zeros(3, 2)
    x[1, 0] = value
    assert not math.isfinite(max_abs(x))


def test_no_states_have_no_size() -> None:
    assert max_abs(torch.empty(0, 4)) == 0.0


def test_a_run_can_record_it_by_name() -> None:
    assert MEASURES["max_abs"].load()(torch.tensor([[1.0], [-2.0]]), torch.tensor([[0, 1], [1, 0]])) == 2.0
