"""Words for measures and verdicts."""

from depthlab.measures.diagnosis import VERDICTS
from depthlab.measures.glossary import DEFINITIONS, GLOSSES, IN_SHORT, MEANINGS, glossed_first
from depthlab.measures.registry import in_report


def test_every_measure_of_a_report_and_every_verdict_is_explained() -> None:
    shown = {measure.name for axis in ("layer", "hop") for measure in in_report(axis)}
    assert set(GLOSSES) == set(DEFINITIONS) == shown
    assert tuple(MEANINGS) == tuple(IN_SHORT) == VERDICTS


def test_the_measures_that_do_not_depend_on_the_size_of_the_states_come_first() -> None:
    assert list(GLOSSES)[:2] == ["rayleigh_quotient", "effective_rank"]


def test_other_measures_follow_in_their_own_order() -> None:
    assert glossed_first(["mine", "max_abs", "another", "rayleigh_quotient"]) == [
        "rayleigh_quotient",
        "max_abs",
        "mine",
        "another",
    ]
