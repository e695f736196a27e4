"""Every family's layers are found, add up, and lose their hooks again."""

from functools import partial

import pytest
import torch
import transformers
from transformers import (
    BertConfig,
    BertModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    DistilBertConfig,
    DistilBertModel,
    MPNetConfig,
    MPNetModel,
    SiglipTextConfig,
    SiglipTextModel,
    T5Config,
    T5EncoderModel,
)

from probe.errors import ModelError
from probe.text.encoding.layers import find_final_norm, find_layers, layer_states
from probe.text.recording.architecture import HEADS, SITES, find_architecture

SHAPE = {"vocab_size": 20, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 3}
CLIP = CLIPTextConfig(**SHAPE, intermediate_size=32, projection_dim=8)
MODELS = {
    "clip": lambda: CLIPTextModel(CLIP),
    "clip with projection": lambda: CLIPTextModelWithProjection(CLIP),
    "siglip": lambda: SiglipTextModel(SiglipTextConfig(**SHAPE, intermediate_size=32)),
    "bert": lambda: BertModel(BertConfig(**SHAPE, intermediate_size=32)),
    "mpnet": lambda: MPNetModel(MPNetConfig(**SHAPE, intermediate_size=32)),
    "distilbert": lambda: DistilBertModel(
        DistilBertConfig(vocab_size=20, dim=16, n_heads=2, n_layers=3, hidden_dim=32)
    ),
    "t5": lambda: T5EncoderModel(
        T5Config(vocab_size=20, d_model=16, num_heads=2, num_layers=3, d_kv=8, d_ff=32)
    ),
}
DECODERS = ("Gemma", "Gemma2", "Gemma3Text", "Llama", "Mistral", "Phi3", "Qwen2", "Qwen3")


def decoder(name):
    kind = getattr(transformers, f"{name}Config")
    config = kind(**SHAPE, intermediate_size=32, num_key_value_heads=1, head_dim=8, pad_token_id=0)
    return getattr(transformers, f"{name}Model")(config)


MODELS |= {name: partial(decoder, name) for name in DECODERS}
IDS = torch.tensor([[3, 7, 4, 9, 1], [5, 5, 8, 2, 6]])


@pytest.fixture(params=MODELS)
def model(request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MODELS[request.param]().eval()
        for name, weight in model.named_parameters():
            if "post_" in name:  # those of Gemma 2 start at the identity
                torch.nn.init.normal_(weight)
        return model


def n_hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def states_of(model, sites):
    architecture, found = find_architecture(model), {}
    points = [point for site in sites for point in architecture.points(site)]
    edits = {
        point: lambda states, point=point: found.__setitem__(point, states) for point in points
    }
    with torch.no_grad(), architecture.hooked(edits):
        output = model(IDS).last_hidden_state
    return found, output


def test_what_a_layer_adds_makes_up_its_stream(model):
    architecture, (found, output) = find_architecture(model), states_of(model, SITES)
    assert (architecture.n_heads, architecture.n_features, architecture.n_layers) == (2, 16, 3)
    for layer, module in enumerate(architecture.layers, start=1):
        parts = found["residual", layer - 1], found["attention", layer], found["mlp", layer]
        if architecture.final_norm is not None:
            expected = sum(parts)
        elif isinstance(model, BertModel | MPNetModel):  # the sum is normalised after each part
            attention = module.attention
            norm = attention.output if isinstance(model, BertModel) else attention
            middle = norm.LayerNorm(parts[0] + parts[1])
            expected = module.output.LayerNorm(middle + parts[2])
        else:
            middle = module.sa_layer_norm(parts[0] + parts[1])
            expected = module.output_layer_norm(middle + parts[2])
        torch.testing.assert_close(found["residual", layer], expected)
    last = found["residual", architecture.n_layers]
    norm = architecture.final_norm or torch.nn.Identity()
    torch.testing.assert_close(norm(last), output)


def test_the_joined_heads_make_the_attention_output(model):
    architecture, (found, _) = find_architecture(model), states_of(model, ["attention", HEADS])
    for layer, join in enumerate(architecture.joins, start=1):
        joined = join(found[HEADS, layer])
        if architecture.attention[layer - 1] is not join:  # Gemma 2 normalises what it adds
            assert hasattr(architecture.layers[layer - 1], "post_feedforward_layernorm")
            joined = architecture.layers[layer - 1].post_attention_layernorm(joined)
        torch.testing.assert_close(joined, found["attention", layer])


def test_what_an_edit_returns_takes_the_place_of_the_states(model):
    architecture, seen = find_architecture(model), {}
    with (
        torch.no_grad(),
        architecture.hooked(
            {
                ("residual", 0): lambda states: torch.zeros_like(states),
                ("residual", 1): lambda states: torch.ones_like(states),
                ("mlp", 2): lambda states: seen.setdefault("mlp", torch.full_like(states, 2.0)),
            }
        ),
    ):
        edited = model(IDS).last_hidden_state
        # All tokens are the same from the first layer on, so that they end up the same.
        torch.testing.assert_close(edited, edited[:1, :1].expand_as(edited))
    assert seen["mlp"].shape == (2, 5, 16)
    plain = model(IDS).last_hidden_state
    assert not torch.allclose(plain[0, 0], plain[0, 1])


def test_the_hooks_are_gone_afterwards_and_after_an_error(model):
    architecture, before = find_architecture(model), n_hooks(model)
    points = [point for site in (*SITES, HEADS) for point in architecture.points(site)]

    def fail(states):
        assert n_hooks(model) == before + len(points)
        raise RuntimeError("inside")

    with (
        pytest.raises(RuntimeError, match="inside"),
        architecture.hooked(dict.fromkeys(points, fail)),
    ):
        model(IDS)
    assert n_hooks(model) == before


@torch.no_grad()
def test_the_states_of_a_layer_are_those_of_transformers(model):
    output = model(IDS, output_hidden_states=True)
    ours = [layer_states(model, IDS, None, layer=at, final_norm=False) for at in (-2, -1)]
    torch.testing.assert_close(ours[0], output.hidden_states[-2])
    norm = find_final_norm(model) or torch.nn.Identity()
    torch.testing.assert_close(norm(ours[1]), output.last_hidden_state)


def test_later_layers_are_not_run_and_no_hook_stays(model):
    runs, before = [], n_hooks(model)
    handles = [
        layer.register_forward_hook(lambda *_, number=number: runs.append(number))
        for number, layer in enumerate(find_layers(model))
    ]
    layer_states(model, IDS, None, layer=-2, final_norm=False)
    for handle in handles:
        handle.remove()
    assert runs == [0, 1]
    with pytest.raises(IndexError):
        layer_states(model, IDS + 10**6, None, layer=-2, final_norm=False)
    assert n_hooks(model) == before


def test_a_model_without_known_layers_is_refused(model):
    layers = find_layers(model)
    layers[0] = torch.nn.Identity()
    with pytest.raises(ModelError, match="have parts of unknown names"):
        find_architecture(model)
