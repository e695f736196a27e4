"""Corrections of other attributes than gender, and of several: gate, experts, router, files."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import ArtifactError, DataError, OptionError, ShapeError
from probe.io.artifacts import read_json, write_json
from probe.moesd.config import TrainConfig
from probe.moesd.draws import (
    _OF_CHANGED,
    BaseShares,
    MeasuredExperts,
    full_allocation,
    minimal_allocation,
)
from probe.moesd.experts import Experts, with_cells
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.model import MoESD
from probe.moesd.objectives.states import CounterfactualStates
from probe.moesd.router import Router
from probe.moesd.routing import routed
from probe.moesd.targets import Target
from probe.text.attributes import cells_of
from probe.text.concepts import load_attributes

BOTH = load_attributes("gender,skin_tone")
CONFIG = TrainConfig(
    attributes="gender,skin_tone",
    cells=False,
    latent_steps=2,
    width=4,
    gate_reads="bias_score",
    false_alarm=1.0,  # words of random weights say nothing of persons
)
NURSE = "a photo of a nurse"
OF_CELLS = "gender and skin_tone"


@pytest.fixture(scope="module")
def both(town) -> MoESD:
    """A correction of gender and skin tone whose gate opens for whatever states neither."""
    return trained(town)


@pytest.fixture(scope="module")
def of_cells(town) -> MoESD:
    """The same with an expert of each cell beside."""
    return trained(town, cells=True)


@pytest.fixture(scope="module")
def of_three_genders(town) -> MoESD:
    """A correction of gender with a third value."""
    return trained(town, attributes="three_genders")


def trained(town, **settings):
    config = replace(CONFIG, **settings)
    moesd = town.train(config=config, attributes=load_attributes(config.attributes))
    classifier = replace(
        moesd.gate.classifier,
        weights=np.zeros_like(moesd.gate.classifier.weights),
        intercepts=np.array([0.0, 1.0, 0.0]),
    )
    for expert in moesd.experts.adapters.values():  # two steps move states by hardly anything
        torch.nn.init.normal_(expert.up.weight, generator=torch.Generator().manual_seed(0))
    gate = replace(moesd.gate, classifier=classifier, open_above=0.0, gendered_above=0.0)
    return replace(moesd, gate=gate)


def test_each_value_of_each_attribute_has_an_expert(both):
    of_gender, of_skin = ["toward-female", "toward-male"], ["light", "tan", "brown", "dark"]
    assert list(both.experts.names) == [*of_gender, *(f"toward-{value}" for value in of_skin)]
    assert (both.router.kind, both.router.counted) == ("minimal", {})


@pytest.mark.parametrize(
    ("kinds", "prompt", "opens"),
    [  # logits of explicit, person, nobody
        ([0, 9, 0], NURSE, (True, True)),
        ([0, 9, 0], "a photo of a dark-skinned nurse", (True, False)),
        ([9, 0, 0], "a photo of a female nurse", (False, True)),
        ([9, 0, 0], "a photo of a dark-skinned female nurse", None),
        ([0, 0, 9], "a photo of a chair", None),
        ([0, 9, 0], "une infirmière", None),
    ],
)
def test_a_prompt_is_open_in_the_attributes_that_it_leaves_open(both, kinds, prompt, opens):
    intercepts = np.array(kinds, dtype=float)
    gate = replace(both.gate, classifier=replace(both.gate.classifier, intercepts=intercepts))
    assert replace(both, gate=gate).opened([prompt]).get(prompt) == opens


@pytest.mark.parametrize(
    ("kinds", "prompt", "found"),
    [  # logits of explicit, person, nobody
        ([0, 9, 0], NURSE, "open"),
        ([9, 0, 0], "a photo of Maria, a nurse", "explicit"),  # read from the states
        ([0, 9, 0], "a photo of a nonbinary nurse", "explicit"),
        ([0, 9, 0], "a photo of a female nurse", "explicit"),
        ([0, 0, 9], "a photo of a chair", "neutral"),
    ],
)
def test_gender_of_three_values_is_read_by_the_gate_and_by_its_words(
    of_three_genders, kinds, prompt, found
):
    moesd = of_three_genders
    assert moesd.experts.names == ("toward-female", "toward-male", "toward-nonbinary")
    classifier = replace(moesd.gate.classifier, intercepts=np.array(kinds, dtype=float))
    moesd = replace(moesd, gate=replace(moesd.gate, classifier=classifier))
    assert moesd.decide([prompt]).classes.tolist() == [found]
    assert (prompt in moesd.opened([prompt])) == (found == "open")
    row = moesd.classify([prompt]).iloc[0]
    assert row[["p_explicit", "p_open", "p_neutral"]].astype(float).idxmax() == f"p_{found}"


def test_a_third_gender_is_never_inferred_where_the_classifier_does_not_give_it():
    [genders] = load_attributes("three_genders")
    with pytest.raises(DataError, match="knows gender as woman, man, not as nonbinary or"):
        genders.seen_by({"gender": ["woman", "man"]})
    name, labels = genders.seen_by({"gender": ["Female", "Male", "Non-binary"]})
    assert (name, [*labels.values()]) == ("gender", ["Female", "Male", "Non-binary"])


def test_a_threshold_closes_prompts_that_state_a_gender_of_nobody(both):
    intercepts = np.array([1.0, 0.0, 0.0])
    classifier = replace(both.gate.classifier, intercepts=intercepts)
    for above, is_open in ((0.5, True), (0.7, False)):
        gate = replace(both.gate, classifier=classifier, gendered_above=above)
        assert bool(replace(both, gate=gate).opened(["a male plug"])) is is_open


def test_of_another_attribute_alone_the_gate_has_classes_of_its_own(both):
    gate = replace(both.gate, attributes=load_attributes("age"))
    prompts = [NURSE, "a photo of an old nurse"]
    reading = gate.read(both.encoder, prompts)
    assert gate.decide(reading).classes.tolist() == ["open", "explicit"]
    np.testing.assert_allclose(gate.probabilities(reading).sum(axis=1), 1.0)
    with pytest.raises(ShapeError, match=r"read prompts with `Gate\.read`"):
        gate.decide(replace(reading, stated=None))


def test_each_cell_has_an_expert_that_serves_prompts_open_in_all(of_cells, provenance, tmp_path):
    assert len(of_cells.experts.names) == 2 + 4 + 8
    both, gender = (True, True), (True, False)
    for name, weights in (of_cells.variants(both) | of_cells.variants(gender)).items():
        assert [n for n, w in zip(of_cells.experts.names, weights, strict=True) if w] == [name]
    of_cells.save(tmp_path, provenance)
    again, prompts = (
        MoESD.load(tmp_path, of_cells.encoder),
        [NURSE, "a photo of a dark-skinned nurse"],
    )
    states = of_cells.encoder.states(prompts)
    found = routed(of_cells).conditions(prompts, [5, 5])
    assert found[0].route.startswith("toward-")
    assert " and " in found[0].route
    assert found[1].route in ("toward-female", "toward-male")
    assert routed(again).conditions(prompts, [5, 5]) == found
    torch.testing.assert_close(
        routed(again).correct(found, states), routed(of_cells).correct(found, states)
    )


def test_the_expert_of_a_cell_goes_on_towards_its_gender_half_as_far(of_cells):
    attributes, targets = with_cells(BOTH, has_cells=True), {}
    words = Counterfactuals(tuple(word for attribute in attributes for word in attribute.words))
    for emphasis in (1.0, 3.0):
        given = of_cells, attributes, [f"a photo of a {of_cells.token.subjects[0]}"], words
        objective = CounterfactualStates(*given, emphasis=emphasis)
        targets[emphasis] = dict(zip(of_cells.experts.names, objective._targets, strict=True))
    of_cells.token.vector.requires_grad_(False)
    beyond = {name: targets[3.0][name] - targets[1.0][name] for name in targets[1.0]}
    for gender, other in (("female", "male"), ("male", "female")):
        cell = beyond[f"toward-{gender} and dark"]
        torch.testing.assert_close(cell, beyond[f"toward-{gender}"] / 2)
        assert not torch.allclose(cell, beyond[f"toward-{other}"] / 2)
    assert not beyond["toward-dark"].any()


@pytest.mark.parametrize("name", ["both", "of_cells"])
def test_a_target_of_cells_is_met_and_its_margins_where_one_is_stated(request, name):
    moesd = request.getfixturevalue(name)
    joint = np.array([0.3, 0.1, 0.0, 0.1, 0.0, 0.1, 0.3, 0.1])
    router = Router("bernoulli", Target(joint))
    moesd = replace(moesd, router=router)
    for prompt, expected in ((NURSE, joint), ("a photo of a dark-skinned nurse", [0.5, 0.5])):
        routes = [one.route for one in routed(moesd).conditions([prompt] * 4000, range(4000))]
        names = [*moesd.variants(moesd.opened([prompt])[prompt])]
        np.testing.assert_allclose(
            [routes.count(name) / 4000 for name in names], expected, atol=0.02
        )


def test_images_draw_their_cells_evenly_and_each_attribute_independently(both):
    n = 4000
    for kind, most in (("bernoulli", 0.02), ("stratified", 0.002)):
        moesd = replace(both, router=replace(both.router, kind=kind))
        found = routed(moesd).conditions([NURSE] * n, range(n))
        routes, counts = np.unique([one.route for one in found], return_counts=True)
        assert len(routes) == 8
        assert sorted(routes) == sorted(f"toward-{cell}" for cell in cells_of(BOTH).values)
        np.testing.assert_allclose(counts / n, 1 / 8, atol=most)


def test_the_experts_of_a_cell_are_added_and_prompts_that_state_all_stay_bit_for_bit(both):
    prompts = [NURSE, "a photo of a dark-skinned nurse"]
    method, states = routed(both), both.encoder.states(prompts)
    conditions = method.conditions(prompts, [3, 3])
    names = both.experts.names
    for condition, row in zip(conditions, method.correct(conditions, states), strict=True):
        values = condition.route.removeprefix("toward-").split(" and ")
        weights = np.array([[name.removeprefix("toward-") in values for name in names]], float)
        assert weights.sum() == (2 if condition.prompt == NURSE else 1)
        torch.testing.assert_close(row, both.encode_weighted([condition.prompt], weights)[0][0])
    gate = replace(both.gate, attributes=both.attributes[1:])
    only_skin = replace(both, gate=gate, router=Router("bernoulli", Target.parity(4)))
    stated = routed(only_skin).conditions(prompts[1:], [3])
    assert torch.equal(routed(only_skin).correct(stated, states[1:]), states[1:])


def test_the_mean_over_the_images_has_the_target_shares_of_the_open_attributes(both):
    prompts = [NURSE, "a photo of a dark-skinned nurse"]
    corrected = both.correct(prompts, both.encoder.states(prompts))
    weights = np.array([[0.5] * 2 + [0.25] * 4, [0.5] * 2 + [0.0] * 4])
    torch.testing.assert_close(corrected, both.encode_weighted(prompts, weights)[0])


def test_differences_between_subjects_that_are_chance_do_not_count():
    n, rng, likely = 4, np.random.default_rng(0), np.array([[0.7, 0.3], [0.2, 0.8]])
    alike = MeasuredExperts((2,), rng.multinomial(n, likely, size=(4000, 2)) / n, n)
    assert np.abs(alike.shrunk - likely).max() < 0.1
    differ = rng.uniform(size=(4000, 2))[..., None] * [1, -1] + [0, 1]
    found = MeasuredExperts((2,), rng.multinomial(n, differ) / n, n).shrunk
    np.testing.assert_allclose(found.var(axis=0), differ.var(axis=0), rtol=0.05)


@given(seed=st.integers(0, 2**32 - 1), target=st.sampled_from([(0.25,) * 4, (0.7, 0.1, 0.1, 0.1)]))
def test_no_other_draws_bring_the_subjects_nearer_to_the_target(seed, target):
    shares = np.random.default_rng(seed).dirichlet(np.full(4, 0.5), size=(5, 4))
    goal, experts = np.array(target), MeasuredExperts((4,), shares, 4)
    drawn = experts.draws(goal)
    assert (drawn >= 0).all()
    np.testing.assert_allclose(drawn.sum(), 1.0)
    off = np.einsum("v,jvk->jk", drawn, experts.shrunk) - goal
    slopes = np.einsum(
        "jk,jvk->v", off, experts.shrunk
    )  # Karush-Kuhn-Tucker: none is below their mean
    assert (slopes >= drawn @ slopes - 1e-9).all()


def test_images_of_a_value_that_the_model_hardly_draws_are_drawn_more_often(
    both, provenance, tmp_path
):
    shown = np.eye(4)
    shown[2] = [0.0, 0.0, 0.5, 0.5]  # half of the images of the expert of brown skin show dark skin
    measured = MeasuredExperts((4,), np.stack([shown] * 2), 4)
    shares = measured.draws(np.full(4, 0.25))
    np.testing.assert_allclose(shares, [0.25, 0.25, 0.5, 0.0], atol=1e-9)
    gate = replace(both.gate, attributes=BOTH[1:])
    router = Router("bernoulli", Target.parity(4))
    experts = Experts(both.experts.n_features, width=4, names=both.experts.names[2:])
    skin = replace(both, gate=gate, router=router, experts=experts)
    replace(skin, measured={"skin_tone": measured}).save(tmp_path, provenance)
    again = MoESD.load(tmp_path, both.encoder)
    found = [of.route for of in routed(again).conditions([NURSE] * 4000, range(4000))]
    counts = [found.count(f"toward-{value}") / 4000 for value in BOTH[1].values]
    np.testing.assert_allclose(counts, shares, atol=0.02)
    mean, states = shares[None], again.encoder.states([NURSE])
    torch.testing.assert_close(
        again.correct([NURSE], states), again.encode_weighted([NURSE], mean)[0]
    )


def test_measured_cells_set_the_draws_of_all_attributes_and_of_each(of_cells):
    of_skin = np.eye(4)
    of_skin[2] = [
        0.0,
        0.0,
        0.5,
        0.5,
    ]  # half of the images of the expert of brown skin show dark skin
    shown = np.kron(np.eye(2), of_skin)
    moesd = replace(
        of_cells, measured={OF_CELLS: MeasuredExperts((2, 4), np.stack([shown] * 2), 4)}
    )
    one, due = [0.25, 0.25, 0.5, 0.0], np.full(8, 1 / 8)
    np.testing.assert_allclose(moesd.draws(due, (True, True)), np.tile(one, 2) / 2, atol=1e-9)
    np.testing.assert_allclose(moesd.draws(np.full(4, 0.25), (False, True)), one, atol=1e-9)
    np.testing.assert_allclose(moesd.draws(np.full(2, 0.5), (True, False)), [0.5, 0.5])
    joint = np.array([0.0, 0.25, 0.125, 0.125, 0.25, 0.0, 0.125, 0.125])
    wanted = [0.0, 0.25, 0.25, 0.0, 0.25, 0.0, 0.25, 0.0]
    np.testing.assert_allclose(moesd.draws(joint, (True, True)), wanted, atol=1e-9)


def test_minimal_routing_corrects_what_was_counted_as_missing_and_all_of_other_prompts(
    of_cells, provenance, tmp_path
):
    dark, child = "a photo of a dark-skinned nurse", "a photo of a nurse and a child"
    seen = np.array([10, 2, 2, 2, 1, 1, 1, 1])
    router = Router("minimal", Target.parity(2), counted={NURSE: seen, dark: seen})
    replace(of_cells, router=router).save(tmp_path, provenance)
    moesd = MoESD.load(tmp_path, of_cells.encoder)
    of_nurse, of_dark = (seen + 1 / 8) / 21, np.array([16.5, 4.5]) / 21
    for prompt, shares in ((NURSE, of_nurse), (dark, of_dark), (child, None)):
        opens = moesd.opened([prompt])[prompt]
        even = np.full(2 if prompt == dark else 8, 1.0)
        even /= even.sum()
        expected = full_allocation(even) if shares is None else minimal_allocation(even, shares)
        routes = [one.route for one in routed(moesd).conditions([prompt] * 4000, range(4000))]
        for route, share in zip(["", *moesd.variants(opens)], expected, strict=True):
            assert routes.count(route) / 4000 == pytest.approx(share, abs=0.002)
        mean = expected[1:] @ np.stack([*moesd.variants(opens).values()])
        states = moesd.encoder.states([prompt])
        torch.testing.assert_close(
            moesd.correct([prompt], states), moesd.encode_weighted([prompt], mean[None])[0]
        )


@given(
    seed=st.integers(0, 2**32 - 1),
    n_values=st.integers(2, 5),
    strength=st.floats(0, 1),
    variance=st.floats(0, 0.1),
)
def test_no_other_draws_beside_the_base_model_are_expected_nearer_to_the_target_at_its_cost(
    seed, n_values, strength, variance
):
    rng = np.random.default_rng(seed)
    shown = rng.dirichlet(np.full(n_values, 0.5), size=(5, n_values))
    experts = MeasuredExperts((n_values,), shown, 4)
    base, target = rng.dirichlet(np.full(n_values, 0.5), size=2)
    drawn = experts.beside(BaseShares(base, variance), target, strength=strength)
    assert (drawn >= 0).all()
    np.testing.assert_allclose(drawn.sum(), 1.0)
    shares = np.insert(experts.shrunk, 0, base, axis=1)
    off = np.einsum("v,jvk->jk", drawn, shares) - (1 - strength) * base - strength * target
    slopes = np.einsum("jk,jvk->v", off, shares)
    slopes[0] += 5 * variance * (drawn[0] - 1 + strength) - 5 * _OF_CHANGED * (1 - drawn[0])
    # Karush-Kuhn-Tucker: none is below their mean.
    assert (slopes >= drawn @ slopes - 1e-9).all()


def test_draws_beside_the_base_model_leave_it_what_it_shows_already():
    experts = MeasuredExperts((2,), np.stack([np.eye(2)] * 3), 100)
    base, even = BaseShares(np.array([0.2, 0.8]), 0.0), np.array([0.5, 0.5])
    np.testing.assert_allclose(experts.beside(base, even), [0.625, 0.375, 0.0], atol=0.01)
    np.testing.assert_allclose(experts.beside(base, even, strength=0.0), [1.0, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(
        experts.beside(BaseShares(even, 0.0), even), [1.0, 0.0, 0.0], atol=1e-9
    )
    weak = MeasuredExperts((2,), np.stack([[[0.8, 0.2], [0.2, 0.8]]] * 3), 100)
    np.testing.assert_allclose(weak.beside(base, even), [0.5, 0.5, 0.0], atol=0.01)
    few, many = (BaseShares.counted(n * np.array([0.2, 0.8])) for n in (5, 500))
    assert many.variance < few.variance / 50
    assert experts.beside(many, even)[0] > experts.beside(few, even)[0] + 0.3


@pytest.mark.parametrize("counted", [[1, 1], [2, -1] + [0] * 6, [0] * 8, ["?"] * 8, [[1] * 8]])
def test_counted_images_that_are_none_are_refused(of_cells, provenance, tmp_path, counted):
    router = Router("minimal", counted={NURSE: np.ones(8)})
    replace(of_cells, router=router).save(tmp_path, provenance)
    config, found = read_json(tmp_path / "config.json", kind="moesd")
    config["router"]["counted"][NURSE] = counted
    write_json(tmp_path / "config.json", config, found)
    with pytest.raises(
        (ArtifactError, OptionError), match=r"counted (images )?(are|of)|not convert"
    ):
        MoESD.load(tmp_path, of_cells.encoder)


@pytest.mark.parametrize(
    "damage",
    [
        {"n_values": [4, 2]},
        {"n_values": [10**9, 10**9]},
        {"shares": [[[1.0] * 8] * 16]},  # of an earlier version, with contrasts of experts
        {"shares": [[[-1.0] * 8] * 8]},
        {"shares": [[[1.0] * 8] * 7]},
    ],
    ids=str,
)
def test_measured_experts_of_another_shape_are_refused(of_cells, provenance, tmp_path, damage):
    shares = np.stack([np.eye(8)] * 2)
    measured = {OF_CELLS: MeasuredExperts((2, 4), shares, 4)}
    replace(of_cells, measured=measured).save(tmp_path, provenance)
    config, _ = read_json(tmp_path / "config.json", kind="moesd")
    config["measured"][OF_CELLS] |= damage
    write_json(tmp_path / "config.json", config, provenance)
    with pytest.raises(ArtifactError, match="no correction that can be used"):
        MoESD.load(tmp_path, of_cells.encoder)


def test_a_correction_of_several_attributes_is_saved_with_them(both, provenance, tmp_path):
    both.save(tmp_path, provenance)
    again = MoESD.load(tmp_path, both.encoder)
    assert [of.to_json() for of in again.attributes] == [of.to_json() for of in both.attributes]
    prompts = [NURSE, "a photo of a dark-skinned nurse"]
    assert again.opened(prompts) == both.opened(prompts)
    np.testing.assert_allclose(again.embed(prompts), both.embed(prompts), atol=1e-6)  # rounding


def test_a_correction_of_an_earlier_version_is_one_of_gender(town, provenance, tmp_path):
    town.train().save(tmp_path, provenance)
    path = tmp_path / "config.json"
    config, found = read_json(path, kind="moesd")
    earlier = {
        name: config[name] for name in config if name not in ("attributes", "gendered_above")
    }
    write_json(path, earlier, found)
    assert [of.name for of in MoESD.load(tmp_path, town.encoder).attributes] == ["gender"]


@pytest.mark.parametrize("name", ["both", "of_cells"])
def test_calibrated_routing_weighs_the_experts_of_what_a_prompt_leaves_open(
    request, name, pipeline
):
    moesd = request.getfixturevalue(name)
    method = replace(moesd, router=Router("calibrated", min_explained=0.0)).intervention(pipeline)
    prompts = [NURSE, "a photo of a dark-skinned nurse", "une infirmière"]
    conditions = method.conditions(prompts, [1, 2, 3])
    assert [of.route for of in conditions] == ["calibrated", "calibrated", ""]
    states = moesd.encoder.states(prompts)
    corrected = method.correct(conditions, states)
    assert torch.equal(corrected[2], states[2])
    for row, opens in ((0, (True, True)), (1, (True, False))):
        experts = np.stack([*moesd.variants(opens).values()])
        weights = method._weights(prompts[row])
        mix, *_ = np.linalg.lstsq(experts.T, weights, rcond=None)
        np.testing.assert_allclose(mix @ experts, weights, atol=1e-9)  # of no other experts
        assert weights.max() > 0
        assert weights.min() >= 0
        expected, _ = moesd.encode_weighted([prompts[row]], weights[None])
        torch.testing.assert_close(corrected[row], expected[0])


@pytest.mark.parametrize(
    ("kind", "n_values", "says"),
    [
        ("top1", [3], "one attribute of two values: choose bernoulli or stratified"),
        ("calibrated", [3], "2 shares and the corrected attribute 3 values"),
        ("bernoulli", [3], "2 shares and the corrected attribute 3 values"),
    ],
)
def test_routers_that_cannot_serve_attributes_are_refused(kind, n_values, says):
    with pytest.raises(OptionError, match=says):
        Router(kind).check_attributes(n_values)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"attributes": "age,age"}, "the value young twice"),
        ({"attributes": "religion"}, "gender, age, perceived_race, skin_tone, three_genders"),
        ({"attributes": "../../age.toml"}, "known are gender"),
        ({"attributes": "age", "objective": "latent"}, "needs the objective counterfactual"),
        ({"attributes": "age", "gate_kind": "closed-form"}, "gate_kind trained"),
    ],
)
def test_attributes_that_cannot_be_trained_are_refused(settings, says):
    with pytest.raises(OptionError, match=says):
        TrainConfig(**settings)
