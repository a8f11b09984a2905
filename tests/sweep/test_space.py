"""Ranges in Hydra's words: read, narrowed, added, fixed, refused."""

import math

import pytest

from depthlab.config.errors import UserError
from depthlab.sweep.space import Range, grid, read_range, read_space

READ = {
    "interval(0, 0.3)": (Range(low=0.0, high=0.3), "0 to 0.3"),
    "int(interval(1, 8))": (Range(low=1, high=8), "1 to 8"),
    "tag(log, interval(1e-4, 0.1))": (Range(low=1e-4, high=0.1, log=True), "0.0001 to 0.1 (log)"),
    "tag(log, int(interval(2, 64)))": (Range(low=2, high=64, log=True), "2 to 64 (log)"),
    "0.1,0.5": (Range(choices=(0.1, 0.5)), "0.1, 0.5"),
    "choice(none, batch)": (Range(choices=("none", "batch")), "none, batch"),
    "'none',\"batch\"": (Range(choices=("none", "batch")), "none, batch"),
    "true,false": (Range(choices=(True, False)), "True, False"),
    "range(1, 4)": (Range(choices=(1, 2, 3)), "1, 2, 3"),
    "range(0, 0.3, 0.1)": (Range(choices=(0.0, 0.1, 0.2)), "0.0, 0.1, 0.2"),
}


@pytest.mark.parametrize("text", READ)
def test_every_form_of_a_range(text: str) -> None:
    expected, words = READ[text]
    values = read_range("lr", text)
    assert str(values) == words
    assert (values.choices, values.log) == (expected.choices, expected.log)
    assert list(map(repr, (values.low, values.high))) == list(map(repr, (expected.low, expected.high)))


def test_ends_of_an_interval_and_of_a_list() -> None:
    assert read_range("lr", "interval(0, 0.3)").ends() == [0.0, 0.3]
    assert read_range("lr", "0.3,0.1,0.2").ends() == [0.3, 0.1, 0.2]


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("interval(0, 0.5)", [0, 0.0, 0.25, 0.5], [-0.1, 0.51, math.nan, True, "0.2", None]),
        ("int(interval(1, 8))", [1, 5, 8], [0, 9, 2.5, True, "3"]),
        ("none,batch", ["none"], ["layer", 0]),
    ],
)
def test_membership(text: str, inside: list[object], outside: list[object]) -> None:
    values = read_range("lr", text)
    assert all(value in values for value in inside)
    assert not any(value in values for value in outside)


def test_nearest_value() -> None:
    values = read_range("lr", "interval(0.1, 0.5)")
    assert [values.nearest(value) for value in (0.0, 0.3, 7, "none")] == [0.1, 0.3, 0.5, 0.1]
    integers = read_range("hidden", "int(interval(8, 64))")
    assert [integers.nearest(value) for value in (4, 16, 20.4, 100)] == [8, 16, 20, 64]
    assert [read_range("norm", "batch,layer").nearest(value) for value in ("none", "layer")] == [
        "batch",
        "layer",
    ]


def test_overrides_narrow_add_and_fix() -> None:
    written = {"p_drop": "interval(0, 0.8)", "dropout": "interval(0, 0.8)"}
    typed = ["p_drop=interval(0, 0.3)", "dropout=0.6", "lr=0.1,0.01", "depth=4", "measures=[mean_average_distance]"]
    space, rest = read_space(written, typed)
    assert {key: str(values) for key, values in space.items()} == {
        "p_drop": "0 to 0.3",
        "lr": "0.1, 0.01",
    }
    assert rest == ["dropout=0.6", "depth=4", "measures=[mean_average_distance]"]


def test_a_yaml_may_list_values() -> None:
    assert read_space({"hidden": "16,32", "depth": "range(2, 4)"}, [])[0]["depth"].choices == (2, 3)


def test_a_yaml_with_a_plain_value_is_refused() -> None:
    with pytest.raises(UserError, match=r"^lr of a sweep has to be a range, interval\(0\.1, .*; got 0\.1$"):
        read_space({"lr": 0.1}, [])


def test_nothing_left_to_search() -> None:
    with pytest.raises(UserError, match=r"^nothing is left to search: give a setting a range, such as 'p_drop="):
        read_space({"lr": "0.1,0.2"}, ["lr=0.1"])


def test_grid_is_every_combination_once() -> None:
    space, _ = read_space({}, ["lr=0.1,0.2", "norm=none,batch,layer"])
    found = grid(space)
    assert len(found) == len({tuple(point.items()) for point in found}) == 6
    assert found[0] == {"lr": 0.1, "norm": "none"}


def test_grid_needs_values() -> None:
    with pytest.raises(UserError, match=r"^sampler=grid needs listed values: type lr=\.\.\., such as lr=0"):
        grid({"lr": read_range("lr", "interval(0, 1)")})
