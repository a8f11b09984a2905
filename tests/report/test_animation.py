"""The states of an animation, reduced."""

import numpy as np

from depthlab.report.animation import FRAMES, NODES, Animation, from_bytes, reduced


def animation(layers: int, nodes: int) -> Animation:
    points = np.random.default_rng(0).normal(size=(layers, nodes, 2)).astype(np.float32)
    return Animation("cora", "GCN", layers - 1, points, np.arange(nodes) % 7)


def test_a_small_animation_keeps_all_nodes_and_layers() -> None:
    full = animation(5, 30)
    small = reduced(full)
    assert (small.layers, small.nodes) == ([0, 1, 2, 3, 4], 30)
    np.testing.assert_allclose(small.points, full.points, atol=1.01 * full.extent / 255)
    assert small.y.tolist() == full.y.tolist()


def test_a_large_one_keeps_the_first_and_the_last_layer_and_evenly_spaced_nodes() -> None:
    small = reduced(animation(200, 2 * NODES))
    assert small.points.shape == (len(small.layers), NODES, 2)
    assert len(small.layers) <= FRAMES
    assert (small.layers[0], small.layers[-1]) == (0, 199)
    assert small.layers == sorted(set(small.layers))
    assert small.nodes == 2 * NODES
    assert set(np.unique(small.y)) == set(range(7))


def test_coordinates_of_one_byte_stay_as_they_are() -> None:
    small = reduced(animation(3, 10))
    np.testing.assert_array_equal(from_bytes(small.in_bytes(), small.extent), small.points)
