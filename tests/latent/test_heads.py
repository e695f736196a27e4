"""The parts add up to the whole: heads to the attention, all parts to the end state."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTextModel

from probe.errors import ModelError
from probe.latent.tracing.heads import COLUMNS, attribute_heads
from probe.latent.tracing.patching import patch_states
from probe.stats.resampling import Resampling
from probe.text.encoder import TextEncoder
from probe.text.recording.architecture import HEADS, find_architecture


@pytest.fixture(scope="module")
def table(tinytown, said):
    return attribute_heads(tinytown, said)


def test_the_contributions_of_the_heads_and_the_bias_sum_to_the_attention_output(tinytown):
    architecture, states = find_architecture(tinytown.model), {}
    points = [*architecture.points(HEADS), *architecture.points("attention")]
    with architecture.hooked({p: lambda s, p=p: states.__setitem__(p, s) for p in points}):
        tinytown.forward_ids(tinytown.tokenize(["a photo of a nurse"]))
    for layer, join in enumerate(architecture.joins, start=1):
        by_head = states[HEADS, layer].unflatten(2, (architecture.n_heads, -1))
        weights = join.weight.unflatten(1, (architecture.n_heads, -1))
        contributions = torch.einsum("pthd,ohd->ptho", by_head, weights)
        total = contributions.sum(dim=2) + join.bias
        torch.testing.assert_close(total, states["attention", layer], atol=1e-5, rtol=1e-4)


def test_the_direct_shares_of_all_parts_sum_to_one(table):
    assert table.query("measure == 'direct'")["value"].sum() == pytest.approx(1.0, abs=1e-5)


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_they_do_so_on_any_axis_and_for_any_weights(tinytown, said, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPTextModel(tinytown.model.config)
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):  # as after training: neither 1 nor 0
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.normal_()
        axis = torch.randn(96).numpy()
    encoder = TextEncoder(model, tinytown.tokenizer, id="random", revision="1")
    found = attribute_heads(
        encoder, said, kinds=["direct"], direction=axis, resampling=Resampling(10)
    )
    assert found["value"].sum() == pytest.approx(1.0, abs=1e-3)


def test_the_table_has_a_row_a_head_and_the_other_parts(table):
    assert tuple(table.columns) == COLUMNS
    direct = table.query("measure == 'direct'")
    assert direct["site"].value_counts().to_dict() == {
        "head": 16, "bias": 4, "mlp": 4, "embedding": 1, "norm": 1,
    }  # fmt: skip
    assert len(table.query("measure == 'patching'")) == 16
    assert (table["n"] == 32).all()
    # The embedding of an end-of-text token is the same in all prompts of a length.
    assert direct.query("site == 'embedding'")["value"].item() == pytest.approx(0.0, abs=1e-2)


def test_heads_that_write_at_the_last_layer_are_patched_and_counted_nearly_alike(table):
    # Nothing but the MLP and the scale of the norm comes after them.
    last = table.query("site == 'head' and layer == 4").pivot(index="head", columns="measure")
    np.testing.assert_allclose(last["value"]["direct"], last["value"]["patching"], atol=0.02)


def test_with_one_head_a_layer_patching_it_is_patching_the_attention(tinytown, said):
    config = type(tinytown.model.config)(
        **{**tinytown.model.config.to_dict(), "num_attention_heads": 1, "num_hidden_layers": 2}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = TextEncoder(CLIPTextModel(config), tinytown.tokenizer, id="one", revision="1")
    heads = attribute_heads(encoder, said, kinds=["patching"])
    attention = patch_states(encoder, said, sites=["attention"], positions=["all"]).table
    np.testing.assert_allclose(heads["value"], attention["value"], atol=1e-5)


def test_an_encoder_that_normalises_after_each_sum_has_no_direct_shares(bert, said):
    assert set(attribute_heads(bert, said)["measure"]) == {"patching"}
    with pytest.raises(ModelError, match="'direct': take kinds=\\['patching'\\]"):
        attribute_heads(bert, said, kinds=["direct"])


def test_something_behind_the_last_norm_is_noticed(tinytown, said):
    class Projected(TextEncoder):
        def forward_ids(self, input_ids):
            return super().forward_ids(input_ids).tanh()

    encoder = Projected(tinytown.model, tinytown.tokenizer, id="projected", revision="1")
    with pytest.raises(ModelError, match="something follows its last LayerNorm"):
        attribute_heads(encoder, said, kinds=["direct"])
