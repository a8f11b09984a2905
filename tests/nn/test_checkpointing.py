"""`memory=checkpoint` for every architecture in conf/model."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from depthlab.config.errors import UserError
from depthlab.training.gradients import training_gradient_norms
from tests.nn.test_all import EVERY, Choice, make_graph, make_model


@pytest.mark.parametrize("norm", ["none", "batch"])
@EVERY
def test_checkpointing_changes_nothing_but_memory_or_is_refused(choice: Choice, norm: str) -> None:
    random = {"p_drop": 0.3, "drop_edge": {"mode": "renormalize", "per_layer": True}, "dropout": 0.4, "depth": 7}
    kept = make_model(choice, **random)
    if not kept.can_checkpoint:
        with pytest.raises(UserError, match=f"^memory=checkpoint has no place in {type(kept).__name__}, .*: use "):
            make_model(choice, **random, memory="checkpoint")
        return
    if norm != "none" and not hasattr(kept, "norms"):
        return
    graph, results = make_graph(), []
    for memory in ("full", "checkpoint"):
        model, seen = make_model(choice, **random, norm=norm, memory=memory).train(), list[Tensor]()
        logits = model(graph.x, model.training_adjacency(graph, 2), lambda layer, h, seen=seen: seen.append(h.detach()))
        loss, learned = F.cross_entropy(logits, graph.y), [p for p in model.parameters() if p.requires_grad]
        gradients = [torch.autograd.grad(loss, learned, retain_graph=again) for again in (True, False)]
        masks = model.masks.lanes((9,), loss.device)
        norms = training_gradient_norms(model, graph)
        results.append([logits.detach(), *gradients, seen, list(model.buffers()), masks, torch.tensor(norms)])
    torch.testing.assert_close(*results)
    assert len(seen) == len(norms) == 8
