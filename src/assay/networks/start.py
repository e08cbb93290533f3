"""Starting from the weights of another network."""

from __future__ import annotations

from torch import nn

from assay.networks.published import State, load_state, note


def start_from(network: nn.Module, state: State, of: str, what: str, *, other_head: bool) -> None:
    """Give a new network the weights of another; `of` names their source and `what` the network, for messages.

    Everything must fit, but for the head of a classifier of another number of classes (where `other_head` allows it),
    which keeps its initial values.
    """
    initial = network.state_dict()
    left = {name for name, value in state.items() if name in initial and value.shape != initial[name].shape}
    if left and other_head and _is_head(left, state, initial):
        note(f"{of}: tells other classes apart; {', '.join(sorted(left))} start from random weights")
        state = state | {name: initial[name] for name in left}
    load_state(network, state, of, what)


def _is_head(names: set[str], state: State, initial: State) -> bool:
    """Whether these are the parameters of one layer, which differs in its number of outputs only."""
    layers = {name.rpartition(".")[0] for name in names}
    return len(layers) == 1 and all(state[name].shape[1:] == initial[name].shape[1:] for name in names)
