"""GCNII: initial residual and identity map."""

import math

import torch
from torch import Tensor, nn

from depthlab.nn.base import Adjacencies, Features, NodeClassifier, Observer, Settings, ignore
from depthlab.nn.linear import Linear
from depthlab.ops import propagate, residual_layers, segment_length


class GCNII(NodeClassifier):
    r"""GCNII of Chen et al. 2020, https://arxiv.org/abs/2007.02133: every layer is fed the first features again.

    .. math::
        H^{(0)} = \mathrm{relu}(X W_{in} + b_{in}), \qquad
        H^{(l)} = \mathrm{relu}\big( ((1-\alpha) P H^{(l-1)} + \alpha H^{(0)}) ((1-\beta_l) I + \beta_l W_l) \big)

    with :math:`\beta_l = \log(\theta / l + 1)`, l = 1..depth, and logits :math:`H^{(L)} W_{out} + b_{out}`.
    The dropout of the authors: on X, on the input of every convolution (not on the residual) and before the decoder.

    Args:
        settings: what every architecture is told.
        alpha: strength of the initial residual, in [0, 1].
        theta: :math:`\theta > 0` of the identity map (the paper's lambda).
        identity_map: without it :math:`\beta_l = 1`, that is relu(((1-alpha) P H + alpha H0) W).
        star: GCNII*, the paper's equation (7) with a weight of its own for each branch, both branches scaled first:
            :math:`(1-\alpha) P H M_l + \alpha H^{(0)} M'_l`. This is PyG's `GCN2Conv(shared_weights=False)`; the
            authors' released code differs, it multiplies the unscaled pair [P H, H0] with the weights.

    Shapes: x (n, in_channels), adjacency (n, n), states (n, hidden), logits (n, out_channels).
    """

    can_checkpoint = True
    can_replicate = True

    def __init__(
        self, settings: Settings, alpha: float = 0.1, theta: float = 0.5, identity_map: bool = True, star: bool = False
    ) -> None:
        super().__init__(settings)
        self.alpha = alpha
        depth, hidden = settings.depth, settings.hidden
        self.encoder = Linear(settings.in_channels, hidden)
        self.decoder = Linear(hidden, settings.out_channels)
        bound = 1 / math.sqrt(hidden)
        # One tensor for all layers: the identity map and Adam are then one operation each, not one per layer.
        self.weights = nn.Parameter(torch.empty(depth, hidden, hidden).uniform_(-bound, bound))
        self.star_weights = nn.Parameter(torch.empty_like(self.weights).uniform_(-bound, bound)) if star else None
        beta = torch.log(theta / torch.arange(1, depth + 1) + 1) if identity_map else torch.ones(depth)
        self.register_buffer("beta", beta.view(depth, 1, 1), persistent=False)
        self.norms = self.make_norms(depth)

    @property
    def reuses_buffers(self) -> bool:
        """True where all layers are one operation: neither a norm nor a second weight comes between."""
        return self.star_weights is None and self.settings.norm == "none"

    def forward(self, x: Features, adjacency: Adjacencies, observe: Observer = ignore) -> Tensor:
        maps = self._maps(self.weights)
        star_maps = maps if self.star_weights is None else self._maps(self.star_weights)
        h, scale = self.drop(x)
        h0 = self.encoder(h, scale).relu()
        observe(0, h0)
        residual = self.alpha * h0

        def run(first: int, last: int, h: Tensor, scale: float, every: int = 1) -> tuple[Tensor, float]:
            """Layers first..last as one operation."""
            graphs, scale = [adjacency.at(number) for number in range(first, last + 1)], scale * (1 - self.alpha)
            some, p = maps[..., first - 1 : last, :, :], self.p_dropout
            return residual_layers(graphs, h, residual, some, scale=scale, dropout=p, masks=self.masks, every=every)

        def step(number: int, h: Tensor, scale: float) -> tuple[Tensor, float]:
            if self.reuses_buffers:
                return run(number, number, h, scale)
            p, keep = adjacency.at(number), scale * (1 - self.alpha)
            if self.star_weights is None:
                z = propagate(p, h, scale=keep, residual=residual) @ maps[..., number - 1, :, :]
            else:
                z = propagate(p, h, scale=keep) @ maps[..., number - 1, :, :]
                z = z + residual @ star_maps[..., number - 1, :, :]
            return self.relu_drop(self.norms[number - 1](z))

        h, scale = self.drop(h0)
        if self.reuses_buffers and observe is ignore:
            every = segment_length(self.settings.depth) if self.recomputes else 1
            h, scale = run(1, self.settings.depth, h, scale, every)
        else:
            h, scale = self.run_layers(step, (h, scale), observe)
        return self.decoder(h, scale)

    # Layer by layer, for graphs that do not fit in memory: `depthlab.nn.layerwise` ------------------------------------

    def encode(self, x: Tensor) -> Tensor:
        """H^(0) of some nodes."""
        return self.encoder(x).relu()

    def layer(self, number: int, gathered: Tensor, own: Tensor, first: Tensor) -> Tensor:
        """H^(number) of some nodes from their rows of P H and H^(0)."""
        near, far = (1 - self.alpha) * gathered, self.alpha * first
        weight = self._map(self.weights, number)
        if self.star_weights is None:
            z = (near + far) @ weight
        else:
            z = near @ weight + far @ self._map(self.star_weights, number)
        return self.norms[number - 1](z).relu()

    def decode(self, state: Tensor) -> Tensor:
        """Logits of some nodes."""
        return self.decoder(state)

    def _maps(self, weights: Tensor) -> Tensor:
        """(1 - beta_l) I + beta_l W_l for every layer, (depth, hidden, hidden)."""
        identity = torch.eye(self.settings.hidden, device=weights.device, dtype=weights.dtype)
        return torch.lerp(identity, weights, self.beta)

    def _map(self, weights: Tensor, number: int) -> Tensor:
        """The same for one layer, (hidden, hidden)."""
        return torch.lerp(torch.eye(*weights.shape[1:]).to(weights), weights[number - 1], self.beta[number - 1])
