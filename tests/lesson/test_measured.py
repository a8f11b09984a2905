"""The committed numbers of the sliders."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from depthlab.files import finite
from depthlab.folders import CONF
from depthlab.lesson.measured import DIGITS, HERE, RUNS, measure_repulsion, read


def test_repulsion_is_what_the_committed_runs_say() -> None:
    if not RUNS.is_file():
        pytest.skip("the committed results are in a checkout only")
    assert read("repulsion") == finite(measure_repulsion(), DIGITS)


def test_means_over_seeds_and_splits(tmp_path: Path) -> None:
    rows = [
        {"dataset": name, "repulsion": strength, "seed": seed, "test_acc": score + seed / 10, "homophily": homophily,
         "depth": 8, "git_commit": "a" * 40}
        for name, homophily in (("far", 0.1), ("near", 0.9))
        for strength, score in ((0.0, 0.5), (2.0, 0.7))
        for seed in (0, 1)
    ]  # fmt: skip
    path = tmp_path / "runs.csv"
    pd.DataFrame(rows[::-1]).to_csv(path)
    content = measure_repulsion(path)
    assert content["repulsion"] == [0.0, 2.0] and content["commit"] == "a" * 12
    assert [graph["name"] for graph in content["graphs"]] == ["far", "near"]
    assert content["graphs"][0]["test_acc"] == pytest.approx([0.55, 0.75]) and content["graphs"][0]["runs"] == 2


def test_alpha_has_every_point_of_its_study() -> None:
    study = yaml.safe_load((CONF / "study" / "alpha.yaml").read_text())["grid"]
    content = read("alpha")
    assert [point["alpha"] for point in content["points"]] == [float(text) for text in study["model.alpha"].split(",")]
    assert content["runs"] == len(str(study["seed"]).split(","))
    assert (content["depth"], content["dataset"]) == (study["depth"], study["dataset"])
    assert {len(point["quotient"]) for point in content["points"]} == {content["depth"] + 1}
    assert all(sum(point["verdicts"].values()) == content["runs"] for point in content["points"])


@pytest.mark.parametrize("name", ["alpha", "repulsion"])
def test_the_files_are_small_and_name_their_command(name: str) -> None:
    text = (HERE / f"{name}.json").read_text()
    assert len(text) < 40_000
    assert "depthlab.lesson.measured" in json.loads(text)["command"]
