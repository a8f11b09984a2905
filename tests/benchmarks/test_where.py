"""Where the time of a step goes."""

import pytest

from benchmarks.where import KINDS, shares
from depthlab import compiler
from depthlab.config.compose import compose_settings
from depthlab.training.experiment import experiment


@pytest.mark.parametrize("kernel", compiler.CHOICES)
def test_compiled_layers_are_a_row_of_their_own(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiler.KERNEL, kernel)
    words = ["dataset=csbm", "dataset.nodes=60", "model=gcnii", "depth=3", "hidden=4"]
    by_kind = shares(experiment(compose_settings(words)))
    assert [*by_kind] == [*KINDS, "the rest"] and all(ms >= 0 for ms in by_kind.values())
    assert (by_kind["compiled layers"] > 0) == (compiler.kernel() is not None)
    assert by_kind["dense products"] > 0
