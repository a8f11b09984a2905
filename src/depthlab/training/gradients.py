"""Gradient norms by layer of a model in training."""

from torch import Tensor

from depthlab.config.errors import UserError
from depthlab.graph.graph import Graph
from depthlab.measures.layers import gradient_norms
from depthlab.nn.equation import stuck
from depthlab.nn.execution import Watch, run
from depthlab.ops import SparseFeatures, segment_length
from depthlab.training.module import TrainingModule


def training_gradient_norms(model: TrainingModule, graph: Graph) -> list[float]:
    """Norms of the training loss's gradient with respect to each layer's state, layer 0..depth.

    Computed without dropout on the full graph, so that epochs are comparable. Features are converted to dense, because
    layer 0 of a network without encoder is X itself. Layers are recomputed in segments to save memory. None if an
    adjoint solver cannot integrate backwards.
    """
    graph = graph.to(model.device)
    x = graph.x.to_dense() if isinstance(graph.x, SparseFeatures) else graph.x.clone()
    x.requires_grad_()

    def loss(watch: Watch) -> Tensor:
        output = run(model.network, x, graph.layers, watch, every=segment_length(model.network.depth))
        if not output.requires_grad:
            raise UserError(
                "the output of the network has no gradient: leave detach() and no_grad() out of its forward"
            )
        return model.task.loss(*model.task.read(output, graph, "train"))

    was_training = model.training
    model.eval()
    try:
        return gradient_norms(loss, graph.num_nodes)
    except AssertionError as error:
        if not stuck(error):
            raise
        return []
    finally:
        model.train(was_training)
