"""A layer is reached by a hook that is always removed, and no later layer is run."""

from __future__ import annotations

import pytest
import torch

from probe.text.encoding.layers import find_final_norm, find_layers, layer_states

IDS = torch.tensor([[2, 5, 6, 7, 1], [2, 8, 9, 1, 0]])


@pytest.fixture(params=["bert", "t5", "siglip", "clip"])
def model(request, make_t5, make_clip, clip_tokenizer):
    if request.param == "t5":
        return make_t5().model
    if request.param == "clip":
        return make_clip("sd15", clip_tokenizer).model
    made = request.getfixturevalue(request.param).model
    return getattr(made, "text_model", made)


def n_hooks(model):
    return sum(len(module._forward_hooks) for module in model.modules())


@torch.no_grad()
def test_the_states_of_a_layer_are_those_of_transformers(model):
    states = model(IDS, output_hidden_states=True).hidden_states[-2]
    ours = layer_states(model, IDS, None, layer=-2, final_norm=False)
    torch.testing.assert_close(ours, states)


@torch.no_grad()
def test_the_last_layer_and_its_norm_make_the_last_state(model):
    norm = find_final_norm(model) or torch.nn.Identity()
    ours = norm(layer_states(model, IDS, None, layer=-1, final_norm=False))
    torch.testing.assert_close(ours, model(IDS).last_hidden_state)


def test_later_layers_are_not_run_and_no_hook_stays(model):
    runs, before = [], n_hooks(model)
    handles = [
        layer.register_forward_hook(lambda *_, number=number: runs.append(number))
        for number, layer in enumerate(find_layers(model))
    ]
    layer_states(model, IDS, None, layer=-2, final_norm=False)
    for handle in handles:
        handle.remove()
    assert runs == [0]
    with pytest.raises(IndexError):
        layer_states(model, IDS + 10**6, None, layer=-2, final_norm=False)
    assert n_hooks(model) == before


def test_gradients_reach_the_embedding_from_a_layer(model):
    table = model.get_input_embeddings().weight.requires_grad_(True)
    layer_states(model, IDS, None, layer=-2, final_norm=False).square().sum().backward()
    assert table.grad[5].abs().sum() > 0
    model.zero_grad()
