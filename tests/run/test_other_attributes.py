"""How the shares of other attributes change, against planted labels."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from probe.audit.release_gate import Bound, check_bounds
from probe.run.evaluation.measurement import Measurement
from probe.run.evaluation.other_attributes import other_attributes
from probe.stats.multiplicity import holm
from probe.stats.resampling import Resampling

N_JOBS, N = 12, 20


def measured(lost, *, attributes=("age",), missing=0):
    """All are women of whom half are old; corrected, half are men and ``lost`` fewer are old."""
    rows = []
    for job, at, side in product(range(N_JOBS), range(N), ("base", "moesd")):
        is_new = side == "moesd"
        age = "old" if at % 10 < 5 and not (is_new and at < lost[job]) else "young"
        row = {"side": side, "kind": "neutral", "subject": f"job {job}", "file_name": f"{job}/{at}"}
        row["age"] = "undetected" if at >= N - missing else age
        rows.append(row | {"gender": "man" if is_new and at < N // 2 else "woman"})
    values = {"gender": ["woman", "man"], "age": ["young", "old"]}
    return Measurement(
        labels=pd.DataFrame(rows),
        attributes={name: values[name] for name in ("gender", *attributes)},
        attribute="gender",
        asked={"female": "woman", "male": "man"},
        resampling=Resampling(2000, 0),
    )


LOST = [job % 5 for job in range(N_JOBS)]


def test_a_planted_loss_is_found_paired_over_occupations():
    found = other_attributes(measured(LOST))
    rows = {(row["shown"], row["within"]): row for row in found["changes"]}
    old, change = rows["old", ""], -np.array(LOST) / N
    assert (old["before"], old["value"]) == (0.5, pytest.approx(change.mean()))
    limits = ttest_1samp(change, 0.0).confidence_interval()  # the interval is never narrower
    assert old["low"] <= limits.low
    assert limits.low == pytest.approx(old["low"], abs=0.01)
    assert limits.high == pytest.approx(old["high"], abs=0.01)
    adjusted = holm(np.array([row["p"] for row in found["changes"]]))
    assert [row["p_holm"] for row in found["changes"]] == adjusted.tolist()
    assert rows["young", ""]["value"] == -old["value"]
    # among women: 5 of 10 are old in both, since all who changed age are men
    assert rows["old", "woman"]["value"] == 0.0
    assert ("old", "man") not in rows  # the base model shows none
    assert found["flipped"]["age"]["value"] == pytest.approx(sum(LOST) / (N_JOBS * N / 2))


def test_the_release_gate_bounds_the_largest_change_by_its_upper_limit():
    found = other_attributes(measured(LOST))
    assert found["value"] == pytest.approx(np.mean(LOST) / N)
    assert found["low"] <= found["value"] <= found["high"]
    policy = [Bound("other_attributes", limit) for limit in (found["value"], found["high"])]
    verdicts = check_bounds({"other_attributes": found}, policy)
    assert [verdict.is_kept for verdict in verdicts] == [False, True]


def test_images_without_a_label_are_left_out_and_without_another_attribute_there_is_no_figure():
    found = other_attributes(measured(LOST, missing=4))
    [old] = [row for row in found["changes"] if (row["shown"], row["within"]) == ("old", "")]
    assert old["value"] == pytest.approx(-np.mean(LOST) / (N - 4))
    assert old["before"] == pytest.approx(10 / 16)
    assert other_attributes(measured(LOST, attributes=())) is None
