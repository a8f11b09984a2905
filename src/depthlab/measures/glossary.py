"""What the measures and the verdicts mean, in a reader's words: for terminals and pages. Imports nothing heavy."""

from collections.abc import Iterable

GLOSSES = {  # measure -> half a sentence behind its value
    "rayleigh_quotient": "how different neighbours still are, whatever the size of the states (0 = equal)",
    "effective_rank": "how many directions the states span (1 = all on one line)",
    "dirichlet_energy": "the same difference, multiplied by the size of the states: growing weights enlarge it,"
    " even in a collapsed network",
    "gradient_norm_first_epoch": "how strong a training signal reaches each layer after one epoch (0 = not trained)",
    "max_abs": "largest entry of a state",
    "sensitivity": "how strongly the output depends on one node at this distance",
    "walk_weight": "the same for the edges alone, without weights and activations",
}
DEFINITIONS = {  # measure -> its equation in words
    "rayleigh_quotient": "The energy of the normalised Laplacian divided by the squared norm of the states, between 0"
    " and 2. It does not depend on the size of the states, so it distinguishes"
    " smoothing from shrinking.",
    "effective_rank": "The exponential of the entropy of the singular values, scaled to sum 1.",
    "dirichlet_energy": "The squared differences between neighbours, over both directions of every edge, per node."
    " It vanishes if all weights shrink and grows if they grow, so it shows a collapse only beside the quotient.",
    "gradient_norm_first_epoch": "The norm of the gradient of the training loss with respect to the states after each"
    " layer, after the first epoch.",
    "max_abs": "The largest absolute entry of the states.",
    "sensitivity": "The norm of the derivative of an output with respect to the features of a node, by the distance"
    " between the two.",
    "walk_weight": "The weight with which a node enters a state through the propagation matrix P alone.",
}
MEANINGS = {  # verdict -> its rule
    "healthy": "It has learnt: its training score covers at least 75 % of the way from guessing to perfect, and the"
    " validation score is at most 33 points below.",
    "over-smoothed": "It has not learnt, and the states have collapsed: from the first to the last layer, Rayleigh"
    " quotient and effective rank fell below half, together by a factor of 12 or more.",
    "untrainable": "It has not learnt, and after one epoch less than 1 % of the last layer's gradient reaches the first"
    " layer.",
    "over-squashed": "It has not learnt, and the answer hardly depends on the distant node that holds it: less than 1 %"
    " of the sensitivity to a near node.",
    "over-fitted": "It has learnt the training nodes, but the validation score is more than 33 points below.",
    "under-fitted": "It has not learnt, although states differ and gradients reach the first layers.",
    "diverged": "The loss or a state became infinite or NaN.",
    "unknown": "It has not learnt, and the measures that tell why were not recorded.",
}
COLLAPSED = "the network has collapsed: neighbours have nearly equal states, and the states span few directions"
IN_SHORT = {  # verdict -> what a person who does not know the word needs to hear
    "healthy": "it has learnt, and depth has not destroyed the states",
    "over-smoothed": COLLAPSED,
    "untrainable": "hardly any gradient reaches the first layers, so they are not trained",
    "over-squashed": "the output hardly depends on the distant node that holds the answer",
    "over-fitted": "it has learnt the training nodes by heart, and is much worse on other nodes",
    "under-fitted": "it has not learnt, although states differ and gradients reach the first layers",
    "diverged": "the loss or a state became infinite or NaN",
    "unknown": "it has not learnt, and the measures that tell why were not recorded",
}


def glossed_first(names: Iterable[str]) -> list[str]:
    """Names of measures in the order of `GLOSSES`, which starts with those that do not depend on the size of states."""
    given = list(dict.fromkeys(names))
    return [name for name in GLOSSES if name in given] + [name for name in given if name not in GLOSSES]
