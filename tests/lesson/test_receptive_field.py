"""Nodes by distance, before and after a rewiring."""

import math

import networkx as nx
import torch
from torch_geometric.utils import from_networkx

from depthlab.config.compose import compose_settings
from depthlab.lesson.receptive_field import by_hop, most_remote, receptive_field, sunflower


def test_the_farthest_node_of_the_largest_part() -> None:
    graph = nx.disjoint_union(nx.path_graph(3), nx.lollipop_graph(5, 4))  # a clique with a tail of four
    edges = from_networkx(graph).edge_index
    node, part = most_remote(edges, graph.number_of_nodes())
    lengths = {one: nx.eccentricity(graph.subgraph(range(3, 12)), one) for one in range(3, 12)}
    assert part.tolist() == list(range(3, 12))
    assert lengths[node] == max(lengths.values()) and node == min(one for one in lengths if lengths[one] == 5)
    distances = nx.single_source_shortest_path_length(graph, node)
    expected = [sum(hop == k for hop in distances.values()) for k in range(6)]
    assert by_hop(edges, 12, node, part) == expected
    assert by_hop(edges, 12, 0, part) == [], "no node of another part is reached"


def test_a_rewiring_brings_nodes_nearer() -> None:
    settings = compose_settings(
        ["dataset=csbm", "dataset.nodes=120", "dataset.degree=3", "model=gcn", "rewiring=fosr", "rewiring.num_edges=30"]
    )
    reach = receptive_field(settings)
    assert reach.edges_added == 30
    assert sum(reach.before) == sum(reach.after) == reach.nodes
    assert reach.before[0] == reach.after[0] == 1
    assert len(reach.after) < len(reach.before)
    assert reach.resistance is not None and reach.resistance[1] < reach.resistance[0]


def test_dots_fill_a_disc_in_the_order_of_hops() -> None:
    counts = [1, 4, 20]
    paths = sunflower(counts, 50)
    assert [path.count("M") for path in paths] == counts
    radii = [[math.hypot(*map(float, dot.split("h")[0].split(","))) for dot in path.split("M")[1:]] for path in paths]
    assert max(radii[0]) < min(radii[1]) and max(radii[1]) < min(radii[2])
    assert max(radii[2]) < 50
    points = torch.tensor(
        [[float(x) for x in dot.split("h")[0].split(",")] for path in paths for dot in path.split("M")[1:]]
    )
    assert torch.pdist(points).min() > 50 / math.sqrt(25), "dots do not overlap"
