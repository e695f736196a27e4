"""Evidence on models that nobody here made: `make real-models` writes docs/real-models.md.

Each part measures what is there and names what is not. A part that was measured before is kept
with `--only` another; its runs are in `--folder`, so that the same command resumes.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import counts
import encoders
import page
import pictures
from commands import DATA, ROOT, Line

_SCRIPT = "python benchmarks/real_models/real_models.py --only {}"
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--data", type=_FOLDER, default=DATA, help="The public data files.")
@click.option("--folder", type=_FOLDER, default=ROOT / "runs" / "real-models", help="The runs.")
@click.option("--docs", type=_FOLDER, default=ROOT / "docs", help="Where the page is written.")
@click.option("--mpnet", type=_FOLDER, envvar="MPNET", help="Folder of all-mpnet-base-v2.")
@click.option("--gear", type=click.Path(path_type=Path), help="File that gear.py writes.")
@click.option("--only", type=click.Choice(page.PARTS), multiple=True, help="Only this part.")
def main(
    data: Path,
    folder: Path,
    docs: Path,
    mpnet: Path | None,
    gear: Path | None,
    only: tuple[str, ...],
) -> None:
    """Measure every part, then write the table, the page and the two figures."""
    docs.mkdir(parents=True, exist_ok=True)

    def measure(part: str) -> Iterator[Line]:
        if part == counts.PART:
            return counts.measure(data, docs=docs)
        if part == pictures.PART:
            return pictures.measure(data, folder, gear=gear)
        return encoders.measure(data, folder, mpnet=mpnet)

    for part in only or page.PARTS:
        lines = []
        for line in measure(part):
            click.echo(f"{line.about}: {line.figure}: {page.figure(line)}", err=True)
            lines.append(replace(line, command=line.command or _SCRIPT.format(part)))
        page.update(docs / page.CSV.name, part, lines)
    page.write_pages(docs / page.CSV.name)


if __name__ == "__main__":
    main()
