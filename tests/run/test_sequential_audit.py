"""Pictures of a run that are made until shares are settled."""

import json

import pytest

from figures.text.audit import sequential_table
from probe.images.plan import read_metadata
from probe.run import Experiment, sequential_audit
from probe.run.folder import Run
from probe.run.sequential_audit import audit_until_settled
from probe.stats.sequential import OPEN, UNFAIR, Band


def test_pictures_are_made_until_shares_are_settled(run, done):
    asked = ("--sequential", "0.45", "0.55", "--max-images", 16, "--side", "base", "--json")
    told = done("audit", run, *asked)
    found = json.loads(told)
    names = {row["subject"] for row in found["subjects"]}
    assert len(names) == 6
    for row in found["subjects"]:
        assert row["low"] <= row["value"] <= row["high"]
        assert row["n"] == 16 if row["verdict"] == OPEN else row["n"] in (8, 16)
    assert found["n_images"] == sum(row["n"] for row in found["subjects"])
    assert found["saving"] == pytest.approx(1 - found["n_images"] / (16 * 6))
    ends = found["saving_interval"]
    assert 0 <= ends["low"] <= ends["value"] <= ends["high"] <= 1
    assert ends["value"] == pytest.approx(found["saving"])
    made = [read_metadata(folder) for folder in (run / "audit" / "base").iterdir()]
    assert sum(map(len, made)) == found["n_images"]
    # the first pictures are those of the run, bit for bit
    first = read_metadata(run / "audit" / "base" / "00000-8").set_index("file_name")["key"]
    kept = read_metadata(run / "images" / "base").set_index("file_name")["key"]
    assert (first == kept[first.index]).all()
    assert done("audit", run, *asked) == told
    assert found["confidence"] == pytest.approx(1 - 0.05 / 6)
    assert found["family_confidence"] == 0.95


def test_an_audit_of_more_pictures_continues_with_those_of_an_earlier_one(run, monkeypatch):
    experiment = Experiment.open(run)
    first = experiment.audit_until_settled(0.49, 0.51, n_max=8, side="base")
    reused = []
    make = sequential_audit.make_images

    def spy(*arguments, **options):
        reused.append([folder.name for folder in options["reuse"]])
        return make(*arguments, **options)

    monkeypatch.setattr(sequential_audit, "make_images", spy)
    one = Run(run, experiment.config)
    whole = audit_until_settled(one, band=Band(0.49, 0.51), side="base", n_max=16, n_batch=16)
    assert reused == [["base", "00000-8"]]
    for name, audit in whole.subjects.items():
        assert audit.n == 16
        assert audit.n_hits >= first.subjects[name].n_hits


def test_an_audit_that_is_settled_at_once_makes_no_more(run):
    # every share lies outside of a band that nothing can lie in, as soon as it is known
    found = Experiment.open(run).audit_until_settled(0.0, 1e-9, n_max=64)
    settled = [audit for audit in found.subjects.values() if audit.verdict == UNFAIR]
    assert settled
    assert max(audit.n for audit in settled) <= 64
    assert found.to_json()["saving"] > 0
    assert "saved" in sequential_table(found.to_json())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--sequential", "0.6", "0.4"),
        ("--sequential", "fair", "0.6"),
        ("--max-images", 8),
        ("--sequential", "0.4", "0.6", "--target", "parity"),
    ],
)
def test_what_makes_no_sense_is_refused(run, arguments, refusal):
    refusal("audit", run, *arguments, code=2)
    assert not (run / "audit").exists()
