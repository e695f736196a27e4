"""The results that README and docs quote are those of the CSV, and one command makes them."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks" / "results"))

import families  # noqa: E402
import results_page as pages  # noqa: E402

from probe.stats.notation import number  # noqa: E402


def planted(n_splits=3, n_seeds=2):
    """Rows of a base model and some methods, whose MAD grows with the split and with the seed."""
    rows = []
    for split in range(1, n_splits + 1):
        for seed in range(n_seeds):
            for method, mad in (("base", 0.4), ("uce", 0.3), ("lora", 0.2), (pages.PAPER, 0.1)):
                row = {"split": split, "seed": seed, "n_images": 8, "method": method}
                mad += 0.0 if method == "base" else 0.02 * split + 0.01 * seed
                row |= {f"mad_{name}": mad for name in ("train", "validation", "test")}
                lost = -0.5 if method == "lora" else 0.0
                row |= {"recognised_change": 0.0, "explicit_change": lost}
                row |= {"change of old (age)": 0.05 * (split - 2), "change of dark (skin)": 0.01}
                row |= {"clip_change": 0.0, "clip": 60.0, "captions_change": -0.005}
                row |= {"changed": 0.0, "floor": 0.05, "overhead": np.nan}
                row |= {"words": "none", "oracle": "", "n_trainable": 9, "n_examples": 4}
                rows.append(row | {"train_seconds": 1.0, "seconds_per_image": 0.1})
    return pd.DataFrame(rows)


@pytest.fixture
def table(tmp_path):
    planted().to_csv(tmp_path / "results.csv", index=False)
    return pages.read(tmp_path / "results.csv")


def test_the_readme_and_the_page_quote_the_csv():
    block = pages.README.read_text("utf-8").split(pages.BEGIN)[1].split(pages.END)[0].strip()
    table = pages.read(pages.CSV) if pages.CSV.exists() else None
    assert block == pages.readme_block(table)
    if table is not None:
        assert pages.CSV.with_suffix(".md").read_text("utf-8") == pages.page(table)


def test_the_table_of_families_is_that_of_its_rows():
    block = families.PAGE.read_text("utf-8").split(families.BEGIN)[1].split(families.END)[0]
    rows = families.table_rows(families.read_rows())
    assert block.strip().splitlines() == pages.markdown([families.HEAD, *rows])


def test_a_figure_is_the_mean_over_splits_with_students_interval(table):
    by_split = np.array([(0.1 + 0.02 * split + 0.005) / 0.4 for split in (1, 2, 3)])
    half = student.ppf(0.975, 2) * by_split.std(ddof=1) / np.sqrt(3)
    values = pages.of_splits(table, pages.PAPER, "mad_test_ratio")
    np.testing.assert_allclose(values, by_split)
    mean = by_split.mean()
    assert pages.figure(values, 3) == f"{mean:.3f} [{mean - half:.3f}, {mean + half:.3f}]"
    assert pages.figure(values.head(1), 3) == f"{by_split[0]:.3f}"


def test_of_other_attributes_the_page_names_the_value_that_changes_over_splits(table):
    """The largest change of each split is mostly chance."""
    [line] = [of for of in pages.page(table).splitlines() if of.startswith("| other attributes")]
    assert "dark (skin) 1.00" in line
    assert "old" not in line


def test_the_best_baseline_keeps_explicit_prompts_and_each_method_is_compared_with_it(table):
    assert pages.best_baseline(table) == "uce"
    found = pages.differences(table, "uce", ["base", "uce", "lora", pages.PAPER])
    assert set(found) == {"lora", pages.PAPER}
    assert found[pages.PAPER].startswith(f"{number(-0.2)}, p")
    text = pages.page(table)
    assert "best baseline is `uce`" in text
    assert "3 random splits" in text


@pytest.mark.slow
def test_one_command_makes_the_pages_and_resumes(
    model_folder, small_lexicon, tmp_path, monkeypatch
):
    from results import main

    monkeypatch.setattr("results.attached", lambda path, model: 0.01)
    settings = ("latent_steps", "diffusion_steps", "batch_size")
    arguments = ["--splits", "2", "--seeds", "1", "--n-images", "2", "--folder", tmp_path / "runs"]
    arguments += ["--docs", tmp_path, "--model", model_folder, "--lexicon", small_lexicon]
    arguments += ["--only", pages.RECOMMENDED, "--only", "leace-lookup", "--only", pages.ORACLE]
    for name in settings:
        arguments += ["--set", f"train.{name}=2"]

    def run(*more):
        main([*map(str, arguments), *more], standalone_mode=False)
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.png")}

    first = run()
    table = pages.read(tmp_path / "results.csv")
    assert len(table) == 2 * 4
    assert (tmp_path / "results.md").read_text("utf-8") == pages.page(table)
    base = table[table["method"] == "base"]
    assert (base["mad_test_ratio"] == 1).all()
    assert (base["changed"] == 0).all()
    assert not (table[table["method"] == pages.ORACLE]["changed"]).any()
    assert run() == first
    assert run("--seeds", "2", "--done") == first
    assert len(pages.read(tmp_path / "results.csv")) == 2 * 4
