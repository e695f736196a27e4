import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from probe.errors import ArtifactError
from probe.images.pipelines import load_pipeline
from probe.moesd.gate import CLASSES
from probe.moesd.model import MoESD
from probe.moesd.router import Router
from probe.moesd.targets import Target
from probe.stats.share_shift import ShareShift
from probe.text.encoder import TextEncoder


def prompts_of(town, group):
    return town.prompts.select(group=group).prompts


def test_closed_prompts_pass_bit_for_bit_and_open_ones_move(town, moesd):
    prompts = town.prompts.prompts
    states = town.encoder.states(prompts)
    corrected = moesd.correct(prompts, states)
    is_open = moesd.decide(town.prompts.prompts, town.vectors).is_open
    assert 0 < is_open.sum() < len(prompts)
    torch.testing.assert_close(corrected[~is_open], states[~is_open], rtol=0, atol=0)
    assert (corrected[is_open] - states[is_open]).abs().amax(dim=(1, 2)).min() > 0


def test_embeddings_are_pooled_corrected_states_and_no_padding_is_encoded(town, moesd, monkeypatch):
    prompts, widths, forward = town.prompts.prompts, [], moesd.encoder.forward_ids
    is_open = moesd.decide(prompts, town.vectors).is_open
    opened = [prompt for prompt, opens in zip(prompts, is_open, strict=True) if opens]
    states, ids = moesd.encode_weighted(opened, moesd.decide(opened).weights)
    pooled = torch.nn.functional.normalize(moesd.encoder.pool(states, ids), dim=1)
    monkeypatch.setattr(
        moesd.encoder, "forward_ids", lambda ids: widths.append(ids.shape[1]) or forward(ids)
    )
    found = moesd.embed(prompts)
    np.testing.assert_array_equal(found[~is_open], moesd.encoder.embed(prompts)[~is_open])
    np.testing.assert_allclose(found[is_open], pooled, atol=1e-5)
    longest = max(moesd.encoder.n_needed(ids))
    assert longest < ids.shape[1]
    assert max(widths) == longest


def test_a_batch_is_corrected_as_its_prompts_are_alone(town, moesd):
    prompts = prompts_of(town, "neutral")[:4] + prompts_of(town, "female")[:2]
    states = town.encoder.states(prompts)
    together = moesd.correct(prompts, states)
    alone = torch.cat([moesd.correct([p], states[i : i + 1]) for i, p in enumerate(prompts)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_what_is_saved_is_loaded_again(town, moesd, provenance, tmp_path):
    moesd.save(tmp_path, provenance)
    again = MoESD.load(tmp_path, town.encoder)
    prompts = prompts_of(town, "neutral")[:8]
    states = town.encoder.states(prompts)
    torch.testing.assert_close(
        again.correct(prompts, states), moesd.correct(prompts, states), rtol=0, atol=0
    )
    reading = moesd.gate.read(town.encoder, prompts)
    np.testing.assert_array_equal(
        again.gate.probabilities(reading), moesd.gate.probabilities(reading)
    )
    assert again.gate.open_above == moesd.gate.open_above


def test_a_correction_is_loaded_with_its_objective_and_router(moesd, provenance, tmp_path):
    target = Target(np.array([0.5, 0.5]), {"nurse": np.array([0.25, 0.75])})
    router = Router("stratified", target, 0.5, ShareShift(1.3, (0.2, 0.0)), 0.25)
    made = replace(moesd, objective="counterfactual", router=router)
    made.save(tmp_path, provenance)
    again = MoESD.load(tmp_path, moesd.encoder)
    assert again.objective == "counterfactual"
    assert repr(again.router) == repr(router)


@pytest.mark.parametrize(
    ("found", "other", "named"),
    [
        ('"router"', '"other"', "earlier version, without a router; train it again"),
        ('"kind": "top1"', '"kind": "fifth"', "router .*'fifth'.* train it again"),
        ('"objective": "latent"', '"objective": "counterfactual"', "serve only bernoulli"),
    ],
)
def test_a_correction_without_a_router_that_its_experts_serve_is_refused(
    moesd, provenance, tmp_path, found, other, named
):
    moesd.save(tmp_path, provenance)
    path = tmp_path / "config.json"
    assert found in path.read_text()
    path.write_text(unchecked(path.read_text()).replace(found, other))
    with pytest.raises(ArtifactError, match=named):
        MoESD.load(tmp_path, moesd.encoder)


def unchecked(text):
    """The text of a JSON file of ours without its checksum, as who changes it would leave it."""
    return re.sub(r'"content": "\w+"', '"content": ""', text)


@pytest.mark.parametrize(
    ("setting", "named"), [("open_above", "no 'open_above'"), ("flags", "other word flags")]
)
def test_a_gate_of_another_version_is_refused(moesd, provenance, tmp_path, setting, named):
    moesd.save(tmp_path, provenance)
    path = tmp_path / "config.json"
    path.write_text(unchecked(path.read_text()).replace(f'"{setting}"', '"other"'))
    with pytest.raises(ArtifactError, match=f"{named}.*train it again"):
        MoESD.load(tmp_path, moesd.encoder)


def test_the_encoder_is_found_by_its_recorded_name(town, moesd, provenance, tmp_path):
    moesd.save(tmp_path, provenance)
    assert MoESD.load(tmp_path).encoder.revision == town.encoder.revision


def test_the_token_file_is_diffusers_textual_inversion(
    moesd, provenance, tmp_path, pipeline_folder
):
    moesd.save(tmp_path, provenance)
    pipeline = load_pipeline(pipeline_folder)
    pipeline.load_textual_inversion(tmp_path / "token.safetensors")
    row = pipeline.tokenizer.convert_tokens_to_ids("<bias>")
    table = pipeline.text_encoder.get_input_embeddings().weight
    torch.testing.assert_close(table[row].detach(), moesd.token.vector)


def test_a_correction_of_another_encoder_is_refused(moesd, provenance, tmp_path, clip_folder):
    moesd.save(tmp_path, provenance)
    with pytest.raises(ArtifactError, match="train it again"):
        MoESD.load(tmp_path, TextEncoder.load(clip_folder))


def test_an_explanation_agrees_with_the_gate(town, moesd):
    prompt = prompts_of(town, "neutral")[0]
    said = moesd.explain(prompt)
    assert said["route"] in CLASSES
    plain = float(moesd.gate.bias_score(town.encoder.embed([prompt]))[0])
    assert said["bias_score"] == pytest.approx(
        plain, abs=1e-6
    )  # packed and padded runs round apart
    assert sum(said["probabilities"].values()) == pytest.approx(1.0)
    is_open = said["route"] in CLASSES[1:3]
    assert (said["shift"] > 0) == is_open == (said["expert"] != "base")


def test_where_images_draw_their_experts_the_embedding_is_that_of_the_mean(town, moesd):
    drawn = replace(moesd, objective="counterfactual", router=Router("bernoulli"))
    prompt = next(p for p in town.prompts.prompts if moesd.decide([p]).is_open[0])
    each = [drawn.encode_weighted([prompt], np.eye(2)[[row]])[0] for row in (0, 1)]
    _, ids = drawn.encode_weighted([prompt], np.eye(2)[[0]])
    mean = torch.nn.functional.normalize(town.encoder.pool((each[0] + each[1]) / 2, ids), dim=1)
    np.testing.assert_allclose(drawn.embed([prompt]), mean.numpy(), atol=1e-6)
    assert np.abs(drawn.embed([prompt]) - moesd.embed([prompt])).max() > 1e-4
