"""Evidence on models that nobody here made: `make real-models` writes docs/real-models.md.

Each part measures what is there and names what is not. A part that was measured before is kept
with `--only` another; its runs are in `--folder`, so that the same command resumes.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import counts
import encoders
import page
from commands import DATA, ROOT, Line

PARTS = {"counts": "published counts", "encoders": "text encoders and published vectors"}
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--data", type=_FOLDER, default=DATA, help="The public data files.")
@click.option("--folder", type=_FOLDER, default=ROOT / "runs" / "real-models", help="The runs.")
@click.option("--docs", type=_FOLDER, default=ROOT / "docs", help="Where the page is written.")
@click.option("--mpnet", type=_FOLDER, envvar="MPNET", help="Folder of all-mpnet-base-v2.")
@click.option("--only", type=click.Choice(list(PARTS)), multiple=True, help="Only this part.")
def main(data: Path, folder: Path, docs: Path, mpnet: Path | None, only: tuple[str, ...]) -> None:
    """Measure every part, then write the table, the page and the two figures."""
    docs.mkdir(parents=True, exist_ok=True)

    def measure(part: str) -> Iterator[Line]:
        if part == counts.PART:
            return counts.measure(data, folder, docs=docs)
        return encoders.measure(data, folder, mpnet=mpnet)

    for part in only or PARTS:
        lines = []
        for line in measure(part):
            click.echo(f"{line.about}: {line.figure}: {page.figure(line)}", err=True)
            lines.append(line)
        page.update(docs / page.CSV.name, part, lines)
    page.write_pages(docs / page.CSV.name)


if __name__ == "__main__":
    main()
