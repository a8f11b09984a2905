"""The few hot operations: random masks, dropout fused with relu, sparse propagation, sparse features, reactions."""

from src.ops.capture import CapturedAdam
from src.ops.checkpointing import checkpointed_layers, recomputing, segment_length
from src.ops.dropout import dropout, relu_dropout
from src.ops.features import SparseFeatures, matmul
from src.ops.layer import residual_layers
from src.ops.masks import MaskSource
from src.ops.precision import full_precision
from src.ops.propagation import edge_scores, product, propagate
from src.ops.reaction import reaction

__all__ = [
    "CapturedAdam", "MaskSource", "SparseFeatures", "checkpointed_layers", "dropout", "edge_scores", "full_precision",
    "matmul", "product", "propagate", "reaction", "recomputing", "relu_dropout", "residual_layers", "segment_length",
]  # fmt: skip
