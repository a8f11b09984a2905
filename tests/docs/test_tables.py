"""What the pages quote from results/ and from the settings."""

import pytest

from docs import tables
from docs.fill import fill


def test_cells() -> None:
    assert tables.score("cora", "GCN", 2) == "81.8 ± 0.2"
    assert tables.gain("cora", "GCNII - GCN", 2) == "+0.6 ± 0.5"
    assert tables.state("cora", "GCN", 2, "effective rank") == "6.3"
    assert tables.verdicts("heterophily", "MLP", 32, "texas") == "10 untrainable"


def test_the_scores_are_the_means_of_the_runs() -> None:
    frame = tables.runs("cora")
    means = frame[frame["method"] == "GCNII"].groupby("depth")["test_acc"].mean()
    for depth, mean in means.items():
        assert tables.score("cora", "GCNII", depth).startswith(f"{100 * mean:.1f} ± ")


@pytest.mark.parametrize(("arguments", "missing"), [
    (("cora", "GCN", 3), "column"), (("cora", "GAT", 2), "row"), (("heterophily", "GCN", 2), "section"),
])  # fmt: skip
def test_what_is_missing_is_an_error(arguments: tuple[str, str, int], missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        tables.score(*arguments)


def test_settings_with_their_comments() -> None:
    lines = tables.commented("config.yaml").splitlines()
    assert "| `seed` | `0` | initialisation, dropout, DropEdge and the order of mini-batches |" in lines
    assert any(line.startswith("| `drop_edge.mode` | `renormalize` |") for line in lines)
    assert not any("limits" in line or "defaults" in line for line in lines)


def test_a_page_is_filled() -> None:
    assert fill('GCN: [[ score("cora", "GCN", 2) ]] %\n') == "GCN: 81.8 ± 0.2 %\n"
    with pytest.raises(KeyError):
        fill('[[ score("cora", "GAT", 2) ]]')
