"""Speed and memory of filling a very large store: `python benchmarks/embed.py --million`."""

from __future__ import annotations

import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from probe import PromptSet, TextEncoder
from probe.text.embeddings import EmbeddingStore
from probe.text.lexicon import Lexicon
from probe.text.prompts import COLUMNS

SMALL, LARGE = 10_000, 1_000_000


def compare_stores(small: int = SMALL, large: int = LARGE) -> dict[str, Any]:
    """Fill a store of each size with tinytown's embeddings, in a process of its own."""
    found: dict[str, Any] = {"model": "tinytown"}
    rates = []
    for n in (small, large):
        done = subprocess.run(
            [sys.executable, __file__, str(n)], check=True, stdout=subprocess.PIPE, text=True
        )
        row = json.loads(done.stdout)
        found |= {f"{name}_{n}": value for name, value in row.items()}
        rates.append(row["prompts_per_second"])
    return found | {"throughput_ratio": rates[1] / rates[0]}


def fill(n: int) -> dict[str, float]:
    """Fill a store with n prompts and return its speed and memory."""
    encoder = TextEncoder.load("tinytown")
    encoder.embed(["a nurse"])
    loaded = _resident()
    prompt_set = _prompts(n)
    with tempfile.TemporaryDirectory() as folder:
        begun, begun_cpu = time.perf_counter(), time.process_time()
        n_encoded = EmbeddingStore(Path(folder)).update(encoder, prompt_set)
        seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - begun_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "prompts_per_second": n_encoded / seconds,
        "prompts_per_cpu_second": n_encoded / cpu_seconds,
        "gigabytes_beyond_model": peak - loaded,
    }


def _prompts(n: int) -> PromptSet:
    """Return the first n of 1,152,000 prompts; the last word changes fastest."""
    lexicon = Lexicon.load()
    jobs = [job.name for job in lexicon.occupations]
    people = ["man", "woman", "boy", "girl", "lady", "gentleman"]
    ages, skins = ["", "young ", "middle aged ", "old "], ["", "light ", "dark ", "tan ", "brown "]
    prompts = (
        template.replace("{subject}", f"{age}{skin}{who} working as a {job} and a {other}")
        for template, age, skin, who, job, other in itertools.product(
            lexicon.templates["train"].neutral, ages, skins, people, jobs, jobs
        )
    )
    table = pd.DataFrame({"prompt": list(itertools.islice(prompts, n))})
    for column, value in zip(
        COLUMNS[1:], ("neutral", "", "", -1, "train", "train", 0.5), strict=True
    ):
        table[column] = value
    return PromptSet(table)


def _resident() -> float:
    """Return the resident memory, in GiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**30


if __name__ == "__main__":
    print(json.dumps(fill(int(sys.argv[1]))))
