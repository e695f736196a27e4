"""Train a laboratory model again from nothing: ``python -m cli.tinytown``; see the Makefile."""

import json
from pathlib import Path

import click

from cli.options import FOLDER
from cli.output import echo
from probe.text.checkpoints import SHIPPED, text_encoders


@click.command()
@click.option("--model", type=click.Choice(list(SHIPPED)), default="tinytown", show_default=True)
@click.option("--out", type=FOLDER, help="Finished model; the package's own by default.")
@click.option("--work", type=FOLDER, help="Checkpoints and images; default: runs/MODEL.")
@click.option("--n-images", default=200, help="Images of each subject to measure.")
def main(model: str, out: Path | None, work: Path | None, n_images: int) -> None:
    """Train and measure a laboratory model; run the same command again to resume.

    tinytown-xl takes parts of tinytown, and tinytown-dit of both: train them in this order.
    """
    from cli.output import ProgressBar
    from probe.io.artifacts import atomic
    from probe.text.lexicon import Lexicon
    from probe.tinytown import card
    from probe.tinytown.recipe import RecipeTraining
    from probe.tinytown.recipe_dit import DitTraining
    from probe.tinytown.recipe_tinytown import TinytownTraining
    from probe.tinytown.recipe_xl import XLTraining

    recipes: dict[str, type[RecipeTraining]] = {
        "tinytown": TinytownTraining,
        "tinytown-xl": XLTraining,
        "tinytown-dit": DitTraining,
    }
    lexicon = Lexicon.load()
    out, work = out or SHIPPED[model], work or Path("runs") / model
    with ProgressBar() as progress:
        training = recipes[model](lexicon, out, work, progress=progress)
        training.run()
        figures = {
            "hashes": card.hashes(out),
            "losses": {name: card.thin(losses) for name, losses in training.losses.items()},
            "recipe": training.describe(),
            "encoder_share_correlation": {
                name: card.measure_encoder(out, lexicon, name) for name in text_encoders(out)
            },
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
        if model == "tinytown":  # the judges of all
            counted = card.measure_classifiers(out, lexicon)
            for name, by_attribute in counted.items():
                for attribute, table in by_attribute.items():
                    with atomic(out / name / f"confusion_{attribute}.csv") as path:
                        table.to_csv(path, index=False)
            figures["errors_on_unseen_renders"] = {
                name: {attribute: card.share_of_errors(table) for attribute, table in of.items()}
                for name, of in counted.items()
            }
    text = json.dumps(figures, indent=1, sort_keys=True)
    with atomic(out / "TRAINING_CARD.json") as path:
        path.write_text(text + "\n", encoding="utf-8")
    echo(text)


if __name__ == "__main__":
    main()
