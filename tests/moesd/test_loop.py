"""The loop of every training: what is the same whatever is minimised."""

from dataclasses import asdict, replace

import pytest
import torch

from probe.errors import ArtifactError, DataError, MemoryLimitError
from probe.images.pipelines import load_pipeline
from probe.io.artifacts import Provenance
from probe.moesd.checkpoint import Checkpoint, State
from probe.moesd.config import TrainConfig
from probe.moesd.loop import Loop

CONFIG = TrainConfig(learning_rate=0.1)
TARGET = torch.tensor([1.0, -2.0, 3.0])


class Noisy:
    """A quadratic seen through noise; its minimum is at the target."""

    name, pace = "noisy", 1.0

    def __init__(self, weights, *, broken_at=None):
        self.weight, self.broken_at = weights["w"], broken_at
        self.parameters = [self.weight]
        self.rng = torch.Generator().manual_seed(5)
        self.start = self.weight.detach().clone()
        self.n_seen = 0

    def loss(self):
        self.n_seen += 1
        noise = torch.randn(3, generator=self.rng)
        scale = float("nan") if self.n_seen == self.broken_at else 1.0
        # The start takes part, as in objectives that measure themselves against it.
        return scale * (self.weight - TARGET + 0.1 * noise + 0.01 * self.start).square().sum()


def weights():
    return {"w": torch.zeros(3, requires_grad=True)}


def checkpoint(folder, config=CONFIG, *, made_from="inputs", share=float("inf")):
    provenance = Provenance(
        kind="training-state", model="m", revision="r", seed=0, made_from=made_from
    )
    return Checkpoint(folder / "state.safetensors", provenance, asdict(config), share)


def test_writing_takes_its_share_of_the_time_and_no_more(tmp_path):
    kept = checkpoint(tmp_path, share=0.02)
    assert kept.is_due()  # at once, so that a loss that is not finite leaves something
    kept.write(State({"done": 0}, {"now/w": torch.zeros(3)}))
    assert not kept.is_due()
    assert checkpoint(tmp_path).read().group("now")["w"].tolist() == [0, 0, 0]


class StopError(Exception):
    pass


def train(folder=None, *, config=CONFIG, stop_at=None, n_steps=(6, 6), **options):
    trained = weights()

    def tell(done, total):
        if done == stop_at:
            raise StopError

    loop = Loop(
        trained,
        config,
        n_steps=sum(n_steps),
        checkpoint=None if folder is None else checkpoint(folder, config),
        progress=tell,
    )
    for n in n_steps:
        loop.run(lambda: Noisy(trained, **options), n)
    return trained["w"].detach()


def test_training_comes_closer_to_the_minimum():
    assert (train(n_steps=(40, 40)) - TARGET).norm() < 0.2 * TARGET.norm()


@pytest.mark.parametrize("stop_at", [1, 5, 6, 7, 11])
@pytest.mark.parametrize(
    "config",
    [CONFIG, replace(CONFIG, accumulate=2)],
    ids=["plain", "accumulated"],
)
def test_a_training_that_is_stopped_ends_in_the_same_weights(tmp_path, stop_at, config):
    whole = train(config=config)
    with pytest.raises(StopError):
        train(tmp_path, config=config, stop_at=stop_at)
    assert (tmp_path / "state.safetensors").exists()
    resumed = train(tmp_path, config=config)
    assert torch.equal(resumed, whole)


def test_steps_that_were_done_are_not_done_again(tmp_path):
    with pytest.raises(StopError):
        train(tmp_path, stop_at=8)
    told = []
    trained = weights()
    loop = Loop(
        trained,
        CONFIG,
        n_steps=12,
        checkpoint=checkpoint(tmp_path),
        progress=lambda done, total: told.append(done),
    )
    made = []
    for _ in range(2):
        loop.run(lambda: made.append(Noisy(trained)) or made[-1], 6)
    assert len(made) == 1  # the first objective is over
    assert told == [6, 8, 9, 10, 11, 12]


def test_a_state_of_other_inputs_is_not_used_and_one_of_other_settings_is_refused(tmp_path):
    with pytest.raises(StopError):
        train(tmp_path, stop_at=3)
    assert checkpoint(tmp_path).read() is not None
    assert checkpoint(tmp_path, made_from="others").read() is None
    with pytest.raises(ArtifactError, match=r"batch_size was 48 and is 7; set them back"):
        train(tmp_path, config=replace(CONFIG, batch_size=7))


def test_a_loss_that_is_not_finite_stops_and_the_last_good_state_stays(tmp_path):
    with pytest.raises(DataError, match=r"nan at step 3.*last finite state is in .*state"):
        train(tmp_path, broken_at=4, n_steps=(6,))
    kept = checkpoint(tmp_path).read()
    assert kept.scalars["done"] == 2
    assert torch.isfinite(kept.group("now")["w"]).all()


def test_batches_that_make_one_step_have_the_mean_gradient():
    class Steep(Noisy):
        def loss(self):
            self.n_seen += 1
            return self.n_seen * self.weight.sum()  # gradient 1, then 2

    trained = weights()
    seen = []
    objective = Steep(trained)
    trained["w"].register_hook(lambda gradient: seen.append(gradient.clone()))
    Loop(trained, replace(CONFIG, accumulate=2), n_steps=1).run(lambda: objective, 1)
    torch.testing.assert_close(sum(seen), torch.full((3,), 1.5))


def greedy(*_):
    return torch.empty(2**60, dtype=torch.uint8).sum()


class Whole(Noisy):
    """An objective without batches."""

    loss = greedy

    def __init__(self, weights):
        self.weight, self.parameters = weights["w"], [weights["w"]]


class Batches(Noisy):
    loss = greedy


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Batches, r"batch_size = 48; lower it .*checkpointing = true, or use a device"),
        (greedy, r"prepare the training; lower n_examples, now 1400, or use a device"),
        (Whole, r"uses all prompts in each step; set n_occupations, now 0"),
    ],
)
def test_too_little_memory_says_which_setting_to_lower(make, message):
    trained = weights()
    with pytest.raises(MemoryLimitError, match=message):
        Loop(trained, CONFIG, n_steps=1).run(lambda: make(trained), 1)


# On a true model


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"accumulate": 2, "checkpointing": True}, {"precision": "bf16"}, {"precision": "fp16"}],
    ids=["single", "bf16", "fp16"],
)
def test_a_training_of_a_true_model_that_is_stopped_ends_in_the_same_weights(
    town, pipeline_folder, pictures, tmp_path, options
):
    config = TrainConfig(
        objective="both", side="both", latent_steps=2, diffusion_steps=6, batch_size=4, width=4,
        unet_width=4, n_examples=16, gate_reads="bias_score", **options,
    )  # fmt: skip
    pipeline = load_pipeline(pipeline_folder)

    def go(stop_at=None):
        def tell(done, total):
            if done == stop_at:
                raise StopError

        return town.train(
            config=config,
            examples=pictures,
            pipeline=pipeline,
            checkpoint=checkpoint(tmp_path, config),
            progress=tell,
        ).weights()

    whole = go()
    checkpoint(tmp_path, config).remove()
    with pytest.raises(StopError):
        go(stop_at=5)
    resumed = go()
    for name, weight in whole.items():
        assert torch.equal(resumed[name], weight), name
        assert bool(torch.isfinite(weight).all()), name
    assert all(w.any() for name, w in whole.items() if name.endswith("male.up.weight"))
