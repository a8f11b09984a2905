"""What the lesson says."""

from dataclasses import replace

from depthlab.lesson.content import Lesson
from depthlab.lesson.facts import facts, untrained


def test_three_sentences_from_the_numbers(lesson: Lesson) -> None:
    first, second, third = facts(lesson)
    assert (
        first
        == "A plain GCN: 82.0 % with 2 layers, 40.0 % with 8 layers, 9.0 % with 32 layers. A random guess: 14.3 %."
    )
    assert second.startswith("Inside GCN 32 (collapsed): from layer 1 to layer 31 ")
    assert "0.65 to 1.5e-06" in second and "0.0 directions instead of 6" in second
    assert third == "Two remedies with 32 layers: GCNII 85.0 % (stable), a GCN with DropEdge 10.0 % (collapsed)."


def test_a_network_without_a_result_is_not_spoken_of(lesson: Lesson) -> None:
    assert facts(replace(lesson, networks=lesson.networks[:1]))[0].startswith("A plain GCN: 82.0 % with 2 layers.")
    (only,) = facts(replace(lesson, networks=lesson.networks[4:]))
    assert only == "Two remedies with 32 layers: GCNII 85.0 % (stable)."
    assert facts(replace(lesson, networks=[])) == []


def test_a_network_that_training_did_not_help_is_called_nearly_untrained(lesson: Lesson) -> None:
    assert untrained(lesson).startswith("Training did not help GCN 32 and GCN 32 + DropEdge: on the")
    assert untrained(replace(lesson, networks=lesson.networks[:2])) == ""


def test_marks(lesson: Lesson) -> None:
    assert [network.mark for network in lesson.networks] == [
        "stable", "under-fitted", "collapsed", "collapsed", "stable",
    ]  # fmt: skip
