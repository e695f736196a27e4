"""Association tests against WEFE's: `python benchmarks/association.py --data FOLDER [--json]`.

The folder holds WEFE's `weat_w2v.txt` and `WEAT.json`. WEFE need not be installed beside our
library: `--wefe-python` names a Python that has it (`python -m venv V && V/bin/pip install wefe`).
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np

from probe.latent.association import ect, ripa, rnd, weat

TESTS = {
    "WEAT1": ("flowers", "insects", "pleasant_5", "unpleasant_5a"),
    "WEAT6": ("male_names", "female_names", "career", "family"),
    "WEAT7": ("math", "arts", "male_terms", "female_terms"),
    "WEAT8": ("science", "arts_2", "male_terms_2", "female_terms_2"),
}
N_PERMUTATIONS = 10_000
N_REPEATS = 15
NOTE = (
    "WEFE draws permutations with replacement (a word may be on both sides): its p-value is that "
    "of another test and is not compared; ours draws true splits"
)


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder with weat_w2v.txt and WEAT.json of WEFE.",
)
@click.option("--wefe-python", type=click.Path(exists=True), help="A Python that has WEFE.")
@click.option(
    "--wefe-permutations",
    default=200,
    show_default=True,
    help="Permutations that WEFE does; its time is scaled linearly to 10,000.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(data: Path, wefe_python: str | None, wefe_permutations: int, as_json: bool) -> None:
    """Compare values and time with WEFE's, on WEFE's data."""
    theirs = _theirs(data, wefe_python, wefe_permutations)
    sets = _word_sets(data)
    tests, differences = {}, []
    for name, names in TESTS.items():
        x, y, a, b = (sets[key] for key in names)
        reference = theirs["tests"][name]
        scores = weat(x, y, a, b).by_word
        ours = {
            "weat": float(scores[: len(x)].sum() - scores[len(x) :].sum()),
            "effect_size": weat(x, y, a, b, ddof=0).value,
            "rnd": rnd(x, y, a).value,
            "ect": ect(x, y, a).value,
            "ripa": ripa(x, y, a).value,
        }
        found = {key: abs(ours[key] - reference[key]) for key in ours}
        differences.append(found)
        # The part that does not depend on the number of permutations is not scaled.
        once = reference["seconds_without_p"]
        wefe = once + (reference["seconds"] - once) * N_PERMUTATIONS / wefe_permutations
        drawn = _seconds(lambda q=(x, y, a, b): weat(*q, max_sums=0))
        tests[name] = {
            "wefe_s": wefe,
            "ours_s": drawn,
            "speedup": wefe / drawn,
            "ours_default_s": _seconds(lambda q=(x, y, a, b): weat(*q)),
            "is_exact_by_default": weat(x, y, a, b).is_exact,
            "difference": found,
        }
    total = {key: sum(test[key] for test in tests.values()) for key in ("wefe_s", "ours_s")}
    found = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "wefe": theirs["version"],
        "n_permutations": N_PERMUTATIONS,
        "wefe_permutations_timed": wefe_permutations,
        "speedup": total["wefe_s"] / total["ours_s"],
        "speedup_least": min(test["speedup"] for test in tests.values()),
        "max_difference": max(max(found.values()) for found in differences),
        "tests": tests,
        "note": NOTE,
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{'':<8}{'WEFE ' + found['wefe']:>14}{'ours':>12}{'speed-up':>12}")
    for name, test in tests.items():
        click.echo(
            f"{name:<8}{test['wefe_s']:>12.1f} s{1000 * test['ours_s']:>9.1f} ms"
            f"{test['speedup']:>12,.0f}"
        )
    click.echo(f"speed-up of all: {found['speedup']:,.0f} at {N_PERMUTATIONS:,} drawn permutations")
    click.echo(
        f"(WEFE timed at {wefe_permutations} and scaled linearly; ours with a bootstrap too)"
    )
    click.echo(f"largest difference of any measure (ddof = 0): {found['max_difference']:.1e}")
    click.echo(NOTE)


def _theirs(data: Path, python: str | None, n_permutations: int) -> dict[str, Any]:
    if python is None:
        if find_spec("wefe") is None:
            raise click.ClickException(
                "WEFE is not installed here; make a place for it (python -m venv V && "
                "V/bin/pip install wefe) and pass --wefe-python V/bin/python"
            )
        python = sys.executable
    done = subprocess.run(
        [python, str(Path(__file__).with_name("wefe_side.py")), str(data), str(n_permutations)],
        input=json.dumps(TESTS),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise click.ClickException(f"WEFE failed in {python}:\n{done.stderr}")
    theirs: dict[str, Any] = json.loads(done.stdout)
    return theirs


def _word_sets(data: Path) -> dict[str, np.ndarray]:
    """Vectors of each set of words, in WEFE's order and without the words that have none."""
    lines = (data / "weat_w2v.txt").read_text(encoding="utf-8").splitlines()[1:]
    rows = (line.rstrip().split(" ") for line in lines)
    # single precision, as WEFE reads the file
    vectors = {word: np.array(numbers, dtype=np.float32) for word, *numbers in rows}
    words = json.loads((data / "WEAT.json").read_text(encoding="utf-8"))
    return {
        name: np.stack([vectors[word] for word in words[name] if word in vectors])
        for name in {name for names in TESTS.values() for name in names}
    }


def _seconds(call: Any) -> float:
    """Median time of a call."""
    call()
    walls = []
    for _ in range(N_REPEATS):
        begun = time.perf_counter()
        call()
        walls.append(time.perf_counter() - begun)
    return statistics.median(walls)


if __name__ == "__main__":
    main()
