"""The hash of data, without reading them."""

import inspect

import pytest
from hydra.utils import get_method

from depthlab.config.compose import compose_settings
from depthlab.config.files import option_names
from depthlab.data.hashes import _parameters, rewired_hash

OWN = {"csv", "folder", "npz", "ogb", "pt", "pyg", "tu"}


@pytest.mark.parametrize("name", sorted(set(option_names("dataset")) - OWN))
def test_parameters_are_read_as_python_reads_them(name: str) -> None:
    target = compose_settings([f"dataset={name}"]).dataset.target
    assert _parameters(str(target)) == set(inspect.signature(get_method(target)).parameters)


def test_a_function_of_a_library_is_imported() -> None:
    assert {"number_of_nodes", "x"} & _parameters("json.dumps") == set()
    assert "sort_keys" in _parameters("json.dumps")


def test_a_rewiring_changes_the_hash_and_its_layers_do_not() -> None:
    plain, last, other = (
        rewired_hash("data", compose_settings(["dataset=texas", *words.split()]))
        for words in ("rewiring=random", "rewiring=random rewiring.layers=last", "rewiring=random rewiring.seed=5")
    )
    assert plain == last != other
    assert rewired_hash("data", compose_settings(["dataset=texas"])) == "data"
