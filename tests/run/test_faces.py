"""A run whose classifier is shown faces: what is counted, bounded, and measured anew."""

import json

import numpy as np
import pandas as pd
import pytest

from figures.text.sentences import missing_faces
from probe.audit.missing_label_bounds import seen_on_both
from probe.errors import DataError, DegenerateDataError
from probe.images.faces import detectors
from probe.images.faces.face import Face
from probe.images.onnx_classifier import OnnxClassifier
from probe.io.artifacts import read_json, read_table
from probe.run import Experiment
from probe.run.config import Config
from probe.run.evaluation import evaluators
from probe.run.evaluation.failure_examples import worst_pictures
from probe.run.evaluation.measurement import Measurement
from probe.run.folder import Run
from probe.stats.resampling import Resampling

ASKED = {"female": "woman", "male": "man"}


class SomeHaveNone:
    """Takes a picture for one face, for none or for two, by its pixels alone."""

    name = "pixels"

    def find(self, pictures, /, *, names):
        assert len(pictures) == len(names)
        rests = [int(np.asarray(picture).sum()) % 7 for picture in pictures]
        faces = [Face(0, 0, 64, 64), Face(0, 0, 64, 63)]
        return [faces[: {0: 0, 1: 2}.get(rest, 1)] for rest in rests]


def table_of(*sides):
    """Neutral pictures: of each side, subject -> values seen, in the order of their files."""
    rows = [
        (side, subject, index, value, f"{subject}-{index}{side if subject == 'cook' else ''}")
        for side, of in zip(("base", "moesd"), sides, strict=True)
        for subject, values in of.items()
        for index, value in enumerate(values)
    ]
    table = pd.DataFrame(rows, columns=["side", "subject", "seed", "gender", "key"])
    return table.assign(
        kind="neutral",
        split=np.where(table["subject"] == "cook", "train", "test"),
        prompt=table["subject"],
        subject_seen=table["subject"],
        file_name=table["subject"] + "/" + table["seed"].astype(str) + ".png",
        clip_score=20.0 + table["seed"],
    )


W, M, N, A = "woman", "man", "undetected", "ambiguous"
BASE = {"cook": [W, W, W, N], "nurse": [W, W, W, W], "guard": [N, N, A, A]}
AFTER = {"cook": [W, M, N, A], "nurse": [W, M, M, N], "guard": [M, W, M, W]}


def measured(base, after):
    return Measurement(
        labels=table_of(base, after),
        attributes={"gender": [W, M], "subject_seen": ["cook", "nurse", "guard"]},
        attribute="gender",
        asked=ASKED,
        resampling=Resampling(50, 0),
        in_faces=True,
    )


def test_unseen_pictures_are_no_value_and_their_number_and_reach_are_told():
    found = measured(BASE, AFTER).quality()
    of = found["missing"]
    assert of["left_out"] == ["guard"]  # nothing is known of it before
    names = ("n_images", "total", "undetected", "ambiguous", "unreadable")
    assert [of["base"][name] for name in names] == [12, 5, 3, 2, 0]
    assert [of["corrected"][name] for name in names] == [12, 3, 2, 1, 0]
    assert found["base"]["mad"]["value"] == pytest.approx(0.5)
    assert found["corrected"]["mad"]["value"] == pytest.approx((0 + 1 / 6) / 2)
    bounds = [of[side]["bounds"]["mad"] for side in ("base", "corrected")]
    assert all(of.pop("most") == 0.5 for of in bounds)
    assert bounds[0] == {"low": pytest.approx((1 / 4 + 1 / 2) / 2), "high": pytest.approx(0.5)}
    # cook 1 of 2 and 2 unseen: 1/4 at most; nurse 1 of 3 and 1 unseen: 0 to 1/4
    assert bounds[1] == {"low": pytest.approx(0), "high": pytest.approx(1 / 4)}
    assert of["difference"]["bounds"]["mad"] == {
        "low": pytest.approx(0 - 0.5),
        "high": pytest.approx(1 / 4 - 3 / 8),
    }
    told = missing_faces(found)
    assert "Base: 3 of 12 images without a face and 2 with several of equal size, MAD " in told
    assert "Excluded, as one side has no face: guard." in told


def test_shares_leave_out_what_was_seen_in_no_picture():
    shares = measured(BASE, AFTER).shares()
    gender = shares[shares["attribute"] == "gender"].set_index(["side", "subject", "value"])["n"]
    assert gender["base", "cook", W] == 3
    assert gender["moesd", "cook", M] == 2
    assert ("base", "guard", W) not in gender.index
    seen = seen_on_both(table_of(BASE, AFTER), "gender")
    assert set(seen["subject"]) == {"cook", "nurse"}
    assert len(seen) == 7 + 5


def test_without_any_face_in_common_there_is_nothing_to_measure():
    with pytest.raises(DegenerateDataError, match="seen in no occupation's images of both"):
        measured({"cook": [W, N]}, {"cook": [N, A]}).quality()


def test_no_failure_is_shown_by_a_picture_without_a_face():
    chosen = worst_pictures(
        table_of(BASE, AFTER), attribute="gender", values=[W, M], asked=ASKED, n_pictures=9
    )
    assert not {N, A} & {*chosen["seen_base"], *chosen["seen_moesd"]}


@pytest.mark.slow
def test_a_run_looks_at_faces_once_they_are_asked_for(run, finished_run, monkeypatch, done):
    labels = run / "evaluation/labels.parquet"
    before, quality = labels.read_bytes(), (run / "evaluation/quality.json").read_bytes()
    monkeypatch.setattr(detectors, "open_detector", lambda _chosen: SomeHaveNone())
    found = json.loads(done("evaluate", run, "--faces", "--json"))
    table = read_table(labels, kind="labels")[0]
    plain = read_table(finished_run / "evaluation/labels.parquet", kind="labels")[0]
    is_face = ~table["gender"].isin([N, A])
    assert 0 < is_face.sum() < len(table)
    assert (table["gender"] == plain["gender"])[is_face].all()
    assert (table["subject_seen"] == plain["subject_seen"]).all()
    neutral = table[(table["kind"] == "neutral") & (table["side"] == "base")]
    assert found["missing"]["base"]["undetected"] == int((neutral["gender"] == N).sum())
    assert found["missing"]["base"]["ambiguous"] == int((neutral["gender"] == A).sum())
    told = done("evaluate", run)
    assert told.startswith("evaluate: skipped (")
    told = done("evaluate", run, "--full")
    assert "Attributes are read from detected faces" in told
    assert done("evaluate", run, "--face-margin", "0.5").startswith("evaluate: made")
    assert done("evaluate", run, "--faces", "").startswith("evaluate: made")
    assert (labels.read_bytes(), (run / "evaluation/quality.json").read_bytes()) == (
        before,
        quality,
    )


def test_a_run_knows_its_faces_by_what_finds_them_and_takes_no_boxes(tmp_path):
    def line(**settings):
        config = Config(model="tinytown").with_settings("evaluate", settings)
        return evaluators.faces_line(Run(tmp_path, config))

    assert line() == ""
    assert line(faces="mediapipe") != line(faces="mediapipe", face_margin=0.5)
    weights = tmp_path / "other.tflite"
    weights.write_bytes(b"other weights")
    assert line(faces="mediapipe") != line(faces=str(weights))
    with pytest.raises(DataError, match="boxes of certain images; a run makes its own"):
        line(faces="boxes.csv")


@pytest.mark.slow
def test_everything_that_looks_at_pictures_of_a_run_looks_at_faces(run, monkeypatch):
    monkeypatch.setattr(detectors, "open_detector", lambda _chosen: SomeHaveNone())
    experiment = Experiment.open(run).set("evaluate", faces="mediapipe")
    experiment.evaluate()
    experiment.study("levels")
    pairs = read_table(run / "evaluation/level_images.parquet", kind="level_images")[0]
    assert not {N, A} & {*pairs["seen_base"], *pairs["seen_moesd"]}
    found = experiment.audit_until_settled(0.3, 0.7, n_max=16)
    assert all(of.n <= 16 for of in found.subjects.values())
    assert sum(of.n for of in found.subjects.values()) < 16 * len(found.subjects)
    experiment.compare("moesd", "explicit-mixing")
    methods = read_json(run / "comparison/methods.json", kind="comparison")[0]["methods"]
    assert all(0 < of["missing"]["value"] < 1 for of in methods)


@pytest.mark.slow
def test_a_run_is_labelled_by_an_onnx_file(run, save_onnx, done, refusal, monkeypatch):
    """Its weights, its description and its own margin around a face are known by their content."""
    assert "add --faces" in refusal("evaluate", run, "--face-margin", 0.5, code=2)
    path = save_onnx(run.parent / "judge.onnx", attribute="gender", classes=[W, M])
    of_women = path.with_suffix(".toml").read_text()
    found = json.loads(done("evaluate", run, "--classifier", path, "--json"))
    assert found["classifiers"]["scores"] == "judge.onnx"
    labels = read_table(run / "evaluation/labels.parquet", kind="labels")[0]
    picture = run / "images" / labels["side"][0] / labels["file_name"][0]
    assert labels["gender"][0] == OnnxClassifier(path).label([picture])["gender"][0]
    assert done("evaluate", run).startswith("evaluate: skipped")

    path.with_suffix(".toml").write_text(of_women.replace('["woman", "man"]', '["man", "woman"]'))
    done("evaluate", run)
    turned = read_table(run / "evaluation/labels.parquet", kind="labels")[0]
    assert (turned["gender"] != labels["gender"]).all()

    monkeypatch.setattr(detectors, "open_detector", lambda _chosen: SomeHaveNone())
    path.with_suffix(".toml").write_text(of_women + "face_margin = 0.05\n")
    missing = json.loads(done("evaluate", run, "--json"))["missing"]["base"]
    assert missing["undetected"] + missing["ambiguous"] > 0
    path.unlink()
    assert "there is no file" in refusal("evaluate", run)
