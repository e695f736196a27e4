"""Steps of training on every block of Stable Diffusion v1.5's U-Net, at 512 x 512 pixels.

The weights are random and the U-Net a fifth as wide (37.5 M weights instead of 859.5 M), so that
the process stays below the limit of `tests.conftest`. What the full width costs is counted on the
meta device in `test_plan.py`. `python tests/moesd/test_full_size.py` prints the figures as JSON.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

N_STEPS = 2
NARROWER = 5
LIMIT = 3.0  # gigabytes


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_step_at_full_depth_and_resolution_fits_and_moves_the_experts():
    done = subprocess.run(
        [sys.executable, __file__], capture_output=True, text=True, check=True, timeout=1700
    )
    found = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(f"\npeak {found['peak_gigabytes']:.1f} GB\n")
    assert found["n_sites"] == 16  # cross-attention blocks
    assert found["latents"] == [64, 64]
    assert all(loss > 0 for loss in found["losses"])  # nan is not
    assert found["moved"] > 0
    assert found["peak_gigabytes"] < LIMIT


def main():
    import torch

    from probe.moesd.config import TrainConfig
    from probe.moesd.loop import Loop
    from probe.moesd.objectives.diffusion import DiffusionObjective
    from probe.moesd.unet_experts import cross_attentions

    with tempfile.TemporaryDirectory() as folder:
        pipeline = make_pipeline()
        moesd = make_correction(pipeline)
        objective = DiffusionObjective(
            moesd,
            ["a photo of a cook"],
            ["cook"],
            draw_examples(Path(folder)),
            pipeline,
            batch_size=1,  # one set: a woman and a man
            seed=0,
        )
    losses, loss = [], objective.loss

    def watched():
        value = loss()
        losses.append(float(value.detach()))
        return value

    objective.loss = watched
    begun = time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        Loop(moesd.weights(), TrainConfig(side="both"), n_steps=N_STEPS).run(
            lambda: objective, N_STEPS
        )
    seconds = (time.perf_counter() - begun) / N_STEPS
    found = {
        "n_unet": sum(weight.numel() for weight in pipeline.unet.parameters()),
        "n_sites": len(cross_attentions(pipeline.unet)),
        "n_trained": sum(weight.numel() for weight in moesd.unet_experts.parameters()),
        "latents": list(objective._latents.shape[2:]),
        "n_pictures_a_step": 2,
        "losses": losses,
        "moved": float(
            sum(w.abs().sum() for name, w in moesd.weights().items() if ".up.weight" in name)
        ),
        "seconds_a_step": seconds,
        "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }
    sys.stdout.write(json.dumps(found) + "\n")


def make_pipeline():
    """Every block of Stable Diffusion v1.5's U-Net; a text encoder and a VAE of few weights."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer({word: n for n, word in enumerate(words)}, [], model_max_length=77)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=2,
        num_attention_heads=12,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return StableDiffusionPipeline(
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        vae=AutoencoderKL(
            block_out_channels=(4, 4, 4, 4),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            norm_num_groups=4,
            sample_size=512,
            mid_block_add_attention=False,
        ),
        unet=UNet2DConditionModel(
            sample_size=64,
            block_out_channels=tuple(width // NARROWER for width in (320, 640, 1280, 1280)),
            down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            cross_attention_dim=768,
            attention_head_dim=8,
        ),
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def make_correction(pipeline):
    """Experts of the default widths on both sides, and a gate of random numbers."""
    import numpy as np

    from probe.moesd.experts import Experts
    from probe.moesd.gate import Gate, KindClassifier
    from probe.moesd.model import MoESD
    from probe.moesd.token import SpecialToken
    from probe.moesd.unet_experts import UNetExperts
    from probe.text.encoder import TextEncoder

    encoder = TextEncoder(pipeline.text_encoder, pipeline.tokenizer, id="random", revision="0")
    n = encoder.n_features
    rng = np.random.default_rng(0)
    return MoESD(
        encoder=encoder,
        token=SpecialToken.start(encoder, ("cook",)),
        gate=Gate(
            axis=rng.normal(size=n),
            midpoint=0.0,
            neutral_below=0.0,
            explicit_above=1e9,
            classifier=KindClassifier(rng.normal(size=(3, n)), np.zeros(3), temperature=1.0),
        ),
        experts=Experts(n, width=32),
        unet_experts=UNetExperts.start(pipeline.unet),
    )


def draw_examples(folder):
    """Pictures that do not say how they were made: their target is then the noise itself."""
    from PIL import Image

    from probe.moesd.examples import Examples

    rows = []
    for value in ("man", "woman"):
        Image.effect_noise((512, 512), 60).convert("RGB").save(folder / f"{value}.png")
        row = {"file_name": f"{value}.png", "prompt": "a photo of a cook", "subject": "cook"}
        rows.append({**row, "value": value})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return Examples.read(folder)


if __name__ == "__main__":
    main()
