"""How long the demo takes and how much memory it needs: `python benchmarks/demo.py [--json]`."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

COMMAND = "from cli.main import main; main()"


@click.command()
@click.option("--model", default="tinytown", show_default=True, help="As for `moesd-probe embed`.")
@click.option("--n-images", default=24, show_default=True, help="Pictures of each occupation.")
@click.option("--seed", default=7, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(model: str, n_images: int, seed: int, as_json: bool) -> None:
    """Measure the demo in a folder of its own."""
    found: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()}
    }
    stages = {}
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        options = ["--model", model, "--n-images", str(n_images), "--seed", str(seed), "--json"]
        wall, result = _command("run", run, *options)
        stages["run"] = wall
        stages["run, up to date"], again = _command("run", run, "--json")
        if any(stage["stage"]["was_made"] for stage in again.values()):
            raise click.ClickException("the second run made something again")
        found["megabytes"] = round(
            sum(path.stat().st_size for path in Path(run).rglob("*") if path.is_file()) / 1e6, 1
        )
    # The largest process that has ended so far: the one that did everything.
    found["peak_gigabytes"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    found["seconds"] = stages
    found["n_images"] = result["evaluate"]["n_images"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, seconds in stages.items():
        click.echo(f"{name:<18}{seconds:.1f} s")
    click.echo(f"peak memory       {found['peak_gigabytes']:.2f} GB")
    click.echo(f"run folder        {found['megabytes']} MB")


def _command(*arguments: str) -> tuple[float, dict[str, Any]]:
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return time.perf_counter() - begun, json.loads(done.stdout)


if __name__ == "__main__":
    main()
