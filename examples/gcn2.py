"""GCNII built from PyG's `GCN2Conv`, with an encoder and a decoder."""

from torch import nn
from torch_geometric.nn import GCN2Conv


class GCN2(nn.Module):
    def __init__(self, in_channels, out_channels, depth, hidden, dropout=0.0, alpha=0.1, theta=0.5):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(in_channels, hidden), nn.Linear(hidden, out_channels)
        self.convs = nn.ModuleList(GCN2Conv(hidden, alpha, theta, layer) for layer in range(1, depth + 1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, edge_index, edge_weight=None):
        x = first = self.encoder(self.dropout(x)).relu()
        for conv in self.convs:
            x = conv(self.dropout(x), first, edge_index, edge_weight).relu()
        return self.decoder(self.dropout(x))
