"""Packed states are those of the model itself, whatever the prompts share."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from probe.text.encoding.packing import end_states
from probe.text.encoding.prefix_tree import PrefixTree

SEQUENCES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=11), min_size=1, max_size=20)


def make_model(kind=CLIPTextModel, *, width=24, **options):
    config = CLIPTextConfig(
        vocab_size=12,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=3,
        num_attention_heads=3,
        max_position_embeddings=77,
        bos_token_id=10,
        eos_token_id=11,
        pad_token_id=11,
        initializer_factor=8.0,  # states of the size that training gives them
        **options,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return kind(config).eval()


@pytest.fixture(scope="module", params=["quick_gelu", "gelu", "projected"])
def model(request):
    if request.param == "projected":  # packed before the projection
        return make_model(CLIPTextModelWithProjection, projection_dim=8)
    return make_model(hidden_act=request.param)


def pad(sequences, width=77):
    return torch.tensor([sequence + [11] * (width - len(sequence)) for sequence in sequences])


@torch.no_grad()
def plain(model, sequences):
    states = model(pad(sequences)).last_hidden_state
    return torch.stack([rows[len(s) - 1] for rows, s in zip(states, sequences, strict=True)])


def packed(model, sequences, **options):
    return end_states(model, pad(sequences), [len(s) for s in sequences], **options)


@given(sequences=SEQUENCES)
def test_nodes_are_the_distinct_prefixes_in_order_and_each_once(sequences):
    tree = PrefixTree.build(pad(sequences), [len(s) for s in sequences])

    def prefix(node):
        return tuple(tree.tokens[tree.ancestors[node, : tree.depths[node] + 1]].tolist())

    expected = {tuple(s[: n + 1]) for s in sequences for n in range(len(s))}
    assert [prefix(node) for node in range(len(tree))] == sorted(expected)
    assert [prefix(end) for end in tree.ends] == [tuple(s) for s in sequences]


@settings(max_examples=40, deadline=None)
@given(sequences=SEQUENCES, pack_size=st.integers(1, 90))
def test_packed_states_are_those_of_the_plain_call(model, sequences, pack_size):
    expected = plain(model, sequences)
    torch.testing.assert_close(
        packed(model, sequences, pack_size=pack_size), expected, rtol=1e-5, atol=1e-5
    )


def test_sequences_of_the_full_length_are_packed_too(model):
    generator = np.random.default_rng(0)
    tail = generator.integers(0, 10, size=(6, 40)).tolist()
    sequences = [[10] + [1] * 36 + rest for rest in tail] + [[10], [10, 1, 11]]
    assert max(map(len, sequences)) == 77
    expected = plain(model, sequences)
    assert (expected[0] - expected[1]).abs().max() > 0.1
    torch.testing.assert_close(packed(model, sequences), expected, rtol=1e-5, atol=1e-5)


def test_each_distinct_prefix_goes_through_the_first_layer_once(model):
    sequences = [[10, 1, 2, 11], [10, 1, 3, 11], [10, 1, 2, 11], [10, 11]]
    rows = []
    embedding = model.get_input_embeddings()
    hook = embedding.register_forward_hook(lambda *call: rows.append(len(call[2])))
    packed(model, sequences)
    hook.remove()
    assert rows == [7]


def test_states_do_not_depend_on_the_number_of_threads():
    model, rng = make_model(hidden_act="quick_gelu", width=96), np.random.default_rng(0)
    sequences, own, found = rng.integers(0, 10, (250, 8)).tolist(), torch.get_num_threads(), []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        found.append(packed(model, sequences))
    torch.set_num_threads(own)
    assert torch.equal(*found)
