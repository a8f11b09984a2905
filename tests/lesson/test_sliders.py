"""The frames of the sliders."""

from xml.etree import ElementTree

import pytest

from depthlab.lesson.content import Lesson
from depthlab.lesson.measured import read
from depthlab.lesson.sliders import Slider, alpha_slider, field_slider, repulsion_slider


@pytest.fixture(params=["alpha", "repulsion", "layers"])
def slider(request: pytest.FixtureRequest, lesson: Lesson) -> Slider:
    if request.param == "layers":
        return field_slider(lesson.reach, lesson.hidden)
    return {"alpha": alpha_slider, "repulsion": repulsion_slider}[request.param](read(request.param))


def test_every_frame_sets_elements_that_are_there(slider: Slider) -> None:
    ids = {
        element.attrib["id"]
        for _, _, svg in slider.pictures
        for element in ElementTree.fromstring(svg).iter()
        if "id" in element.attrib
    }
    for frame in slider.frames:
        assert {key for key, _, _ in frame.set} <= ids
    assert len({frame.value for frame in slider.frames}) == len(slider.frames)
    assert 0 <= slider.start < len(slider.frames)


def test_the_picture_is_drawn_as_its_first_position(slider: Slider) -> None:
    roots = [ElementTree.fromstring(svg) for _, _, svg in slider.pictures]
    elements = {element.attrib["id"]: element for root in roots for element in root.iter() if "id" in element.attrib}
    for key, name, value in slider.frames[slider.start].set:
        assert elements[key].attrib[name] == value


def test_alpha_tells_the_score_of_its_position() -> None:
    content = read("alpha")
    slider = alpha_slider(content)
    for frame, point in zip(slider.frames, content["points"], strict=True):
        assert frame.value == f"alpha = {point['alpha']:g}"
        assert frame.says.startswith(f"Test accuracy {100 * point['test_acc']:.1f} % on cora.")
    assert slider.frames[slider.start].value == "alpha = 0.1"
    assert "study alpha" in slider.source and content["commit"] in slider.source


def test_repulsion_names_the_graphs_that_gain() -> None:
    content = read("repulsion")
    slider = repulsion_slider(content)
    assert slider.frames[0].says == "No repulsion: neighbours only attract each other."
    for column, frame in enumerate(slider.frames[1:], 1):
        gains = [
            g["name"].replace("_filtered", "")
            for g in content["graphs"]
            if g["test_acc"][column] > g["test_acc"][0] + 0.01
        ]
        assert frame.says == f"More than one point better than without repulsion: {', '.join(gains) or 'none'}."


def test_layers_count_the_nodes_that_enter_a_state(lesson: Lesson) -> None:
    slider = field_slider(lesson.reach, 10)
    assert [frame.value for frame in slider.frames] == ["0 layers", "1 layer", "2 layers", "3 layers", "4 layers"]
    assert slider.frames[2].says == (
        "7 nodes of 30 enter one state, 0.7 for each of its 10 numbers; after the rewiring 14 nodes."
    )
    inside = [key for key, _, value in slider.frames[2].set if value == "hop in"]
    assert inside == ["before0", "before1", "before2", "after0", "after1", "after2"]
    assert slider.rows[4] == ["4", "15", ""]
