"""The few hot operations: random masks, dropout with relu, sparse products, compiled layers, reactions."""

from depthlab.ops.checkpointing import Buffers, recomputing, segment_length
from depthlab.ops.dropout import dropout, relu_dropout
from depthlab.ops.features import SparseFeatures, matmul
from depthlab.ops.layer import residual_layers
from depthlab.ops.layers import can_compile, compiled_layers
from depthlab.ops.masks import MaskSource
from depthlab.ops.precision import full_precision
from depthlab.ops.propagation import edge_scores, product, propagate
from depthlab.ops.reaction import reaction

__all__ = [
    "Buffers", "MaskSource", "SparseFeatures", "can_compile", "compiled_layers", "dropout", "edge_scores",
    "full_precision", "matmul", "product", "propagate", "reaction", "recomputing", "relu_dropout",
    "residual_layers", "segment_length",
]  # fmt: skip
