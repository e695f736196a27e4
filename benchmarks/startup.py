"""What a start costs: ``import probe`` and ``moesd-probe --help`` beside an empty Python.

``python benchmarks/startup.py`` prints medians in milliseconds and as multiples of
``python -c pass``, which carry over to other machines better than times do. The aims are 100 ms
for the import and 300 ms for the help.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time

import click

HELP = "from cli.main import main; main()"
STARTS = {
    "python -c pass": ("pass",),
    "import probe": ("import probe",),
    "moesd-probe --help": (HELP, "--help"),
    "moesd-probe train --help": (HELP, "train", "--help"),
}
BASE = "python -c pass"


@click.command()
@click.option("--n-repeats", default=15, show_default=True, type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(n_repeats: int, as_json: bool) -> None:
    """Measure how long each start takes, in turn, so that all see the same load."""
    seconds: dict[str, list[float]] = {name: [] for name in STARTS}
    for code in STARTS.values():
        _start(*code)  # writes the bytecode, and brings the files into memory
    for _ in range(n_repeats):
        for name, code in STARTS.items():
            seconds[name].append(_start(*code))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    found = {
        name: {"milliseconds": round(1000 * value, 1), "ratio": round(value / medians[BASE], 2)}
        for name, value in medians.items()
    }
    if as_json:
        machine = {"cores": os.cpu_count(), "python": platform.python_version()}
        click.echo(json.dumps({"machine": machine, "starts": found}, indent=2))
        return
    for name, row in found.items():
        click.echo(f"{name:<26}{row['milliseconds']:7.1f} ms   x{row['ratio']:.2f}")


def _start(*arguments: str) -> float:
    """Seconds from the start of a new interpreter to its end."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
