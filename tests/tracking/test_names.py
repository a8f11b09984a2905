"""Names of metrics."""

from depthlab.tracking.names import are_outdated, by_epoch


def test_a_prefix_names_the_step() -> None:
    assert by_epoch({"train_loss": 1.0}) == {"epoch/train_loss": 1.0}


def test_names_of_older_versions_are_recognised() -> None:
    assert are_outdated(["train_loss"]) and are_outdated(["test_acc", "test_acc_by_depth"])
    assert not are_outdated(["epoch/train_loss", "depth/test_acc", "test_acc", "layer/dirichlet_energy"])
