"""Patching everything restores everything, and patching nothing restores nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from probe.errors import DataError, DegenerateDataError
from probe.latent.directions import PairDirection
from probe.latent.tracing.counterfactuals import align, axis_of, patched_scores
from probe.latent.tracing.patching import patch_states
from probe.text.prompts import PromptSet
from probe.text.recording.architecture import SITES, find_architecture


@pytest.fixture(scope="module")
def patching(tinytown, said):
    return patch_states(tinytown, said, positions=["start", "person", "subject", "end", "all"])


@pytest.fixture(scope="module")
def effect(patching):
    return patching.table.set_index(["site", "layer", "position"])["value"]


def test_the_whole_stream_at_any_layer_restores_everything(effect):
    np.testing.assert_allclose(effect["residual", :, "all"], 1.0, atol=1e-5)


def test_the_word_alone_is_everything_at_the_input_and_the_end_at_the_output(effect):
    assert effect["residual", 0, "person"] == pytest.approx(1.0, abs=1e-5)
    assert effect["residual", 4, "end"] == pytest.approx(1.0, abs=1e-5)
    # An end that is read after the last layer has no use for the other tokens.
    for other in ("person", "subject"):
        assert effect["residual", 4, other] == pytest.approx(0.0, abs=1e-5)


def test_what_stands_before_the_word_carries_nothing_in_a_causal_encoder(effect):
    assert not effect[:, :, "start"].to_numpy().any()


def test_effects_are_those_of_one_prompt_patched_by_hand(tinytown, said):
    """Without batches, masks or our hooks: one pair, one state, one hook of torch."""
    one = PromptSet(said.table.query("pair == pair.min()").reset_index(drop=True))
    (male,), (female,) = one.pairs()
    ids = tinytown.tokenize(one.prompts)
    axis = axis_of(tinytown, said, None)
    mlp = tinytown.model.encoder.layers[1].mlp

    def score(hook=None):
        handle = mlp.register_forward_hook(hook or (lambda *_: None))
        z = tinytown.pool(tinytown.forward_ids(ids), ids)
        handle.remove()
        return (torch.nn.functional.normalize(z, dim=1) @ axis).numpy()

    def put_in(module, args, output):
        output = output.clone()
        output[female, 10] = output[male, 10]
        return output

    plain, patched = score(), score(put_in)
    architecture, counterfactuals = find_architecture(tinytown.model), align(tinytown, one)
    mask = torch.from_numpy(counterfactuals.roles["end"])[None, :, :, None]
    assert mask[0, 0, 10, 0]
    scores = patched_scores(tinytown, architecture, counterfactuals, {("mlp", 2): mask}, axis)
    np.testing.assert_allclose(scores.male, plain[male], atol=1e-6)
    np.testing.assert_allclose(scores.female, plain[female], atol=1e-6)
    np.testing.assert_allclose(scores.patched[0, 0], patched[female], atol=1e-6)
    assert abs(patched[female] - plain[female]) > 1e-3


def test_patching_identical_prompts_does_nothing(tinytown, said):
    architecture, counterfactuals = find_architecture(tinytown.model), align(tinytown, said)
    same = replace(counterfactuals, male_ids=counterfactuals.female_ids)
    points = [point for site in SITES for point in architecture.points(site)]
    masks = dict.fromkeys(points, torch.from_numpy(counterfactuals.roles["all"])[None, :, :, None])
    scores = patched_scores(tinytown, architecture, same, masks, axis_of(tinytown, said, None))
    np.testing.assert_array_equal(scores.male, scores.female)
    np.testing.assert_array_equal(scores.patched, np.broadcast_to(scores.female, (13, 1, 32)))


def test_pairs_without_a_role_do_not_count_for_it(tinytown, said):
    table = patch_states(tinytown, said, sites=["residual"], positions=["between", "end"]).table
    # "a male nurse" has nothing between the two words, "a man working as a nurse" has.
    assert table.set_index(["layer", "position"])["n"].unstack()["between"].unique() == [24]
    adjectives = PromptSet(
        said.table[said.table["template"].str.contains("adjective")].reset_index(drop=True)
    )
    alone = patch_states(tinytown, adjectives, sites=["mlp"], positions=["between", "end"]).table
    assert set(alone["position"]) == {"end"}


def test_the_size_of_the_batch_changes_nothing(tinytown, said, effect):
    small = patch_states(tinytown, said, sites=["mlp"], positions=["person", "end"], batch_size=7)
    expected = effect.unstack().loc["mlp", ["person", "end"]].to_numpy().ravel()
    np.testing.assert_allclose(small.table["value"], expected, atol=1e-5)


def test_a_given_direction_is_used_and_its_sign_does_not_matter(tinytown, said, effect):
    z, (male, female) = tinytown.embed(said.prompts), said.pairs()
    direction = PairDirection().fit(z[male], z[female]).direction_
    for axis in (direction, -direction):
        found = patch_states(tinytown, said, direction=axis, sites=["mlp"], positions=["end"])
        np.testing.assert_allclose(found.table["value"], effect["mlp", :, "end"], atol=1e-6)


def test_pairs_whose_tokens_do_not_face_each_other_are_left_out_and_say_why(tinytown, said):
    table = said.table.copy()
    first, second, third = table["pair"].unique()[:3]
    rows = (table["pair"] == first) & (table["group"] == "female")
    table.loc[rows, "prompt"] = table.loc[rows, "prompt"].str.replace("woman", "zebra")
    rows = table["pair"] == second
    table.loc[rows, "prompt"] = table.loc[rows, "prompt"].str.replace(
        " (boy|girl) ", " cat ", regex=True
    )
    patching = patch_states(tinytown, PromptSet(table), sites=["residual"], positions=["end"])
    assert patching.n_pairs == 30
    assert len(patching.left_out) == 2
    zebra, cat = patching.left_out.itertuples(index=False)
    assert "zebra" in zebra.female
    assert zebra.reason.endswith("tokens")
    assert cat.reason == "the same tokens"
    assert third in table["pair"].to_numpy()


def test_what_cannot_be_patched_is_refused(tinytown, said):
    with pytest.raises(ValueError, match="position 'middle' is not there"):
        patch_states(tinytown, said, positions=["middle"])
    same = said.table.assign(prompt=said.table["prompt"].str.replace("woman", "man"))
    rows = same["template"].str.contains("person") & ~same["prompt"].str.contains("boy|girl")
    with pytest.raises(DataError, match="none of 12 pairs can be patched"):
        patch_states(tinytown, PromptSet(same[rows].reset_index(drop=True)))
    with pytest.raises(DegenerateDataError, match="do not differ on the bias axis"):
        patch_states(tinytown, said, direction=np.zeros(96))


def test_a_bidirectional_encoder_with_a_mean_is_patched_alike(bert, said):
    table = patch_states(bert, said, positions=["start", "person", "end", "all"]).table
    effect = table.set_index(["site", "layer", "position"])["value"]
    np.testing.assert_allclose(effect["residual", :, "all"], 1.0, atol=1e-5)
    assert effect["residual", 0, "person"] == pytest.approx(1.0, abs=1e-5)
    assert effect["residual", 0, "start"] == 0.0
    assert abs(effect["residual", 2, "start"]) > 1e-3  # the mean counts every token


@pytest.mark.slow
@pytest.mark.real
def test_in_a_real_sentence_encoder_the_word_itself_carries_it_until_the_last_layer(minilm, said):
    patching = patch_states(minilm, said, sites=["residual"], positions=["person", "subject"])
    table = patching.table.set_index(["position", "layer"])["value"].unstack()
    assert patching.n_pairs == 32
    assert (table.loc["person", :5] > 0.95).all()
    assert table.loc["person", 6] < 0.5
    assert (table.loc["subject", :5].abs() < 0.05).all()
