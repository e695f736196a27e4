"""Train tinytown again from nothing: ``python -m cli.tinytown``; see ``make train-tinytown``."""

import json
from pathlib import Path

import click

from cli.options import FOLDER
from cli.output import echo


@click.command()
@click.option("--out", type=FOLDER, default="probe/tinytown/weights", help="Finished model.")
@click.option("--work", type=FOLDER, default="runs/tinytown", help="Checkpoints and images.")
@click.option("--n-images", default=200, help="Images of each subject to measure.")
def main(out: Path, work: Path, n_images: int) -> None:
    """Train every model of tinytown and measure it; run the same command again to resume."""
    from cli.output import ProgressBar
    from probe.io.artifacts import atomic
    from probe.text.lexicon import Lexicon
    from probe.tinytown import card
    from probe.tinytown.recipe import RecipeTraining

    lexicon = Lexicon.load()
    with ProgressBar() as progress:
        training = RecipeTraining(lexicon, out, work, progress=progress)
        training.run()
        counted = card.measure_classifiers(out, lexicon)
        for name, by_attribute in counted.items():
            for attribute, table in by_attribute.items():
                with atomic(out / name / f"confusion_{attribute}.csv") as path:
                    table.to_csv(path, index=False)
        figures = {
            "hashes": card.hashes(out),
            "losses": {name: card.thin(losses) for name, losses in training.losses.items()},
            "recipe": training.describe(),
            "errors_on_unseen_renders": {
                name: {attribute: card.share_of_errors(table) for attribute, table in of.items()}
                for name, of in counted.items()
            },
            "encoder_share_correlation": card.measure_encoder(out, lexicon),
            "pictures": card.measure_pictures(
                out,
                lexicon,
                work / "pictures",
                n_images=n_images,
                progress=lambda done, total: progress("images", done, total),
            ),
            "pictures_at_guidance_7.5": card.measure_pictures(
                out,
                lexicon,
                work / "pictures_7.5",
                n_images=n_images // 4,
                guidance_scale=7.5,
                progress=lambda done, total: progress("images at 7.5", done, total),
            ),
        }
    text = json.dumps(figures, indent=1, sort_keys=True)
    with atomic(out / "TRAINING_CARD.json") as path:
        path.write_text(text + "\n", encoding="utf-8")
    echo(text)


if __name__ == "__main__":
    main()
