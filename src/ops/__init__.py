"""The few hot operations: random masks, dropout fused with relu, sparse propagation, sparse features."""

from src.ops.dropout import dropout, relu_dropout
from src.ops.features import SparseFeatures, matmul
from src.ops.layer import residual_layer
from src.ops.masks import MaskSource
from src.ops.propagation import propagate

__all__ = ["MaskSource", "SparseFeatures", "dropout", "matmul", "propagate", "relu_dropout", "residual_layer"]
