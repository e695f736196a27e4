"""Speed-up of prefix packing for a text encoder of CLIP ViT-L/14's shape.

``python benchmarks/embed.py [--json]``
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from stores import compare_stores
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from probe import TextEncoder
from probe.text.checkpoints import TINYTOWN
from probe.text.encoding.prefix_tree import PrefixTree
from probe.text.encoding.tokenization import batches_by_length
from probe.text.lexicon import Lexicon

Clock = Callable[[], float]

WIDTH, N_HIDDEN, N_LAYERS, N_TOKENS, N_WORDS = 768, 3072, 12, 77, 49408
PADDED = 32  # prompts per batch
TRIMMED = (32, 256)  # the faster counts: little padding, or large matrix products

# 10 templates x 12 attributes x 109 occupations = 13,080 prompts.
TEMPLATES = (
    "a photo of a {}",
    "a portrait of a {}",
    "a picture of a {}",
    "an image of a {}",
    "a headshot of a {}",
    "a photo of the face of a {}",
    "a photo of a {} at work",
    "a portrait of a {}, looking at the camera",
    "a {} smiling",
    "an oil painting of a {} in the office",
)
ATTRIBUTES = (
    *("", "male", "female", "young", "middle-aged", "old"),
    *("Black", "white", "Asian", "Hispanic", "Indian", "Middle Eastern"),
)
OCCUPATIONS = """
actor, architect, artist, astronaut, athlete, barber, bartender, biologist, bookkeeper, bricklayer,
bus driver, butcher, butler, chef, chemist, childcare worker, civil engineer, coach, comedian,
composer, computer programmer, courier, dancer, dental hygienist, dentist, dietitian, director,
doctor, economist, electrician, engineer, firefighter, fisherman, flight attendant, florist,
historian, jeweler, journalist, judge, locksmith, machinist, maid, marine biologist, mathematician,
musician, nanny, optician, painter, paralegal, paramedic, pharmacist, photographer, physicist,
pilot, plumber, poet, police officer, politician, postal worker, priest, professor,
psychologist, real estate agent, roofer, scientist, singer, social worker, soldier, surgeon
"""  # and the 40 of the lexicon


@click.command()
@click.option("--bpe", type=click.Path(exists=True, path_type=Path), help="CLIP's merges (gzip).")
@click.option("--captions", type=click.Path(exists=True, path_type=Path), help="CSV of captions.")
@click.option("--sample", default=0, show_default=True, help="Prompts per round; 0 for all.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--cpu-time", is_flag=True, help="Processor time of one thread, for busy machines.")
@click.option("--million", is_flag=True, help="Fill a store with 1,000,000 prompts instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    bpe: Path | None,
    captions: Path | None,
    sample: int,
    rounds: int,
    threads: int,
    cpu_time: bool,
    million: bool,
    as_json: bool,
) -> None:
    """Compare packed with padded and trimmed batches, or fill a very large store."""
    if million:
        found = compare_stores()
    else:
        torch.set_num_threads(1 if cpu_time else threads)
        clock = time.process_time if cpu_time else time.perf_counter
        found = compare(make_encoder(bpe), captions, sample, rounds, clock)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        click.echo(f"{name:<36} {f'{value:.4g}' if isinstance(value, float) else value}")


def compare(
    encoder: TextEncoder, captions: Path | None, sample: int, rounds: int, clock: Clock
) -> dict[str, Any]:
    """Run packed, trimmed and padded batches on the same prompts.

    Each round takes a range of prompts in alphabetical order. Of the padded batches, one is run per
    round and its time is scaled to the range.
    """
    product = make_product()
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "seconds": clock.__name__,
        "vocabulary": len(encoder.tokenizer),
        "prompts": f"{len(product)}: {len(TEMPLATES)} templates x {len(ATTRIBUTES)} attributes x "
        f"{len(product) // len(TEMPLATES) // len(ATTRIBUTES)} occupations",
        "rounds": rounds,
        "prompts_per_round": sample or "all",
    }
    found |= describe(encoder, product)
    rng = np.random.default_rng(7)
    encoder.embed(product[:64])
    results = [one_round(encoder, p, rng, clock) for p in ranges(product, sample, rounds)]
    for name in ("speedup_padded", "speedup_trimmed", "peak_share"):
        found |= spread(name, [result[name] for result in results])
    found["max_difference"] = max(result["max_difference"] for result in results)
    found["matmul_gigaflops"] = statistics.median(result["matmul"] / 1e9 for result in results)
    if captions is None:
        found["speedup_trimmed_coco"] = "skipped: no --captions"
        return found
    texts = read_captions(captions)
    found |= {f"{name}_coco": value for name, value in describe(encoder, texts).items()}
    results = [one_round(encoder, p, None, clock) for p in ranges(texts, sample, rounds)]
    found |= spread("speedup_trimmed_coco", [result["speedup_trimmed"] for result in results])
    return found


def make_product() -> list[str]:
    """Return the prompts of a bias study, in alphabetical order."""
    jobs = [job.strip() for job in OCCUPATIONS.split(",")]
    jobs += [job.name for job in Lexicon.load().occupations]
    subjects = [f"{words} {job}".strip() for words, job in itertools.product(ATTRIBUTES, jobs)]
    return sorted({template.format(who) for template in TEMPLATES for who in subjects})


def read_captions(path: Path) -> list[str]:
    """Read the column ``prompt``, in alphabetical order."""
    with path.open(encoding="utf-8", newline="") as file:
        return sorted({row["prompt"] for row in csv.DictReader(file) if row["prompt"].strip()})


def make_encoder(bpe: Path | None) -> TextEncoder:
    """Create a text encoder of CLIP ViT-L/14's shape with random weights."""
    if bpe is None:
        tokenizer = AutoTokenizer.from_pretrained(TINYTOWN / "tokenizer")
        tokenizer.model_max_length = N_TOKENS
    else:
        lines = gzip.decompress(bpe.read_bytes()).decode("utf-8").split("\n")[1:48895]
        merges = [tuple(line.split()) for line in lines]
        letters = sorted(ByteLevel.alphabet(), key=lambda letter: (ord(letter) > 255, letter))
        words = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
        words += ["<|startoftext|>", "<|endoftext|>"]
        vocabulary = {word: number for number, word in enumerate(words)}
        tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=N_TOKENS)
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=N_WORDS,
        hidden_size=WIDTH,
        intermediate_size=N_HIDDEN,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=12,
        max_position_embeddings=N_TOKENS,
        hidden_act="quick_gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return TextEncoder(CLIPTextModel(config), tokenizer, id="random ViT-L/14", revision="0")


def count_tokens(encoder: TextEncoder, ids: torch.Tensor) -> Any:
    """Count tokens up to the first end of text."""
    return ((ids == encoder.tokenizer.eos_token_id).int().argmax(dim=1) + 1).numpy()


def describe(encoder: TextEncoder, prompts: list[str]) -> dict[str, float]:
    """Count the tokens to compute per prompt: all, packed, and padded and packed."""
    ids = encoder.tokenize(prompts)
    lengths = count_tokens(encoder, ids)
    tree, padded = PrefixTree.build(ids, lengths), PrefixTree.build(ids, [N_TOKENS] * len(ids))
    return {
        "tokens_per_prompt": float(lengths.mean()),
        "nodes_per_prompt": len(tree) / len(ids),
        "padded_nodes_per_prompt": len(padded) / len(ids),
    }


def ranges(prompts: list[str], sample: int, rounds: int) -> list[list[str]]:
    """Return evenly spaced ranges of prompts; all prompts in every round if sample is 0."""
    size = min(sample or len(prompts), len(prompts))
    starts = np.linspace(0, len(prompts) - size, rounds).astype(int)
    return [prompts[start : start + size] for start in starts]


def one_round(
    encoder: TextEncoder, prompts: list[str], rng: np.random.Generator | None, clock: Clock
) -> dict[str, float]:
    """Run every kind of batch once; padded ones only if a generator is given to draw them."""
    before = matmul_rate(clock)
    packed_s, ours = timed(lambda: encoder.embed(prompts), clock)
    result = {"matmul": (before + matmul_rate(clock)) / 2}
    result["peak_share"] = arithmetic(encoder, prompts) / packed_s / result["matmul"]
    trimmed_s = []
    for size in TRIMMED:
        seconds, theirs = timed(lambda n=size: trimmed(encoder, prompts, n), clock)
        trimmed_s.append(seconds)
    result["speedup_trimmed"] = min(trimmed_s) / packed_s
    result["max_difference"] = float(np.abs(ours - theirs).max())
    if rng is not None:
        rows = rng.choice(len(prompts), PADDED, replace=False)
        padded_s, plain = timed(lambda: padded(encoder, [prompts[row] for row in rows]), clock)
        result["speedup_padded"] = padded_s * len(prompts) / PADDED / packed_s
        difference = float(np.abs(ours[rows] - plain).max())
        result["max_difference"] = max(result["max_difference"], difference)
    return result


@torch.no_grad()
def trimmed(encoder: TextEncoder, prompts: list[str], batch_size: int) -> Any:
    """Embed in trimmed batches of about equal length: the best simple method."""
    ids = encoder.tokenize(prompts)
    lengths = count_tokens(encoder, ids)
    vectors = np.empty((len(ids), WIDTH), dtype=np.float32)
    for rows in batches_by_length(lengths, batch_size):
        batch = ids[rows, : lengths[rows].max()]
        vectors[rows] = unit(encoder.pool(encoder.forward_ids(batch), batch))
    return vectors


@torch.no_grad()
def padded(encoder: TextEncoder, prompts: list[str]) -> Any:
    """Embed with the padding of diffusers."""
    ids = encoder.tokenize(prompts)
    return unit(encoder.pool(encoder.forward_ids(ids), ids))


def unit(pooled: torch.Tensor) -> Any:
    """Normalise rows."""
    return torch.nn.functional.normalize(pooled, dim=1).numpy()


def timed(work: Callable[[], Any], clock: Clock) -> tuple[float, Any]:
    """Return seconds and result."""
    begun = clock()
    result = work()
    return clock() - begun, result


def matmul_rate(clock: Clock, seconds: float = 1.0, size: int = 2048) -> float:
    """Measure the rate of float32 matrix multiplication, in operations per second."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    a @ b
    begun, n = clock(), 0
    while (spent := clock() - begun) < seconds:
        a @ b
        n += 1
    return n * 2 * size**3 / spent


def arithmetic(encoder: TextEncoder, prompts: list[str]) -> float:
    """Count the operations of packed prompts, without padding, masked keys or repeated prefixes.

    In the last layer, all nodes need keys and values, but only the final tokens need the rest.
    """
    ids = encoder.tokenize(prompts)
    tree = PrefixTree.build(ids, count_tokens(encoder, ids))
    n, looked = len(tree), float((tree.depths + 1).sum())
    ends = np.unique(tree.ends)
    looked_last = float((tree.depths[ends] + 1).sum())
    inner = (N_LAYERS - 1) * (n * (4 * WIDTH**2 + 2 * WIDTH * N_HIDDEN) + 2 * WIDTH * looked)
    last = 2 * n * WIDTH**2 + len(ends) * (2 * WIDTH**2 + 2 * WIDTH * N_HIDDEN)
    return 2 * (inner + last + 2 * WIDTH * looked_last)


def spread(name: str, values: list[float]) -> dict[str, Any]:
    """Return the median over the rounds, with the lowest and the highest value."""
    low, high = min(values), max(values)
    return {name: statistics.median(values), f"{name}_rounds": f"{low:.3g} to {high:.3g}"}


if __name__ == "__main__":
    main()
