import numpy as np
import pytest

from probe.errors import DataError
from probe.moesd.targets import Target

VALUES = ("young", "adult", "old")


def test_the_longest_subject_that_a_prompt_names_decides_or_else_the_default():
    table = {"worker": np.array([0.2, 0.8]), "construction worker": np.array([0.6, 0.4])}
    target = Target(np.array([0.5, 0.5]), table)
    assert target.of("a photo of a Construction Worker")[0] == 0.6
    assert target.of("a photo of a worker")[0] == 0.2
    assert target.of("a photo of coworkers")[0] == 0.5


def test_a_table_is_read_in_the_order_of_the_values_asked_for(tmp_path):
    path = tmp_path / "target.toml"
    path.write_text(
        'values = ["old", "young", "adult"]\ndefault = [0.2, 0.3, 0.5]\n'
        "[subjects]\nnurse = [1, 0, 0]\n"
    )
    target = Target.read(path, VALUES)
    np.testing.assert_allclose(target.default, [0.3, 0.5, 0.2])
    np.testing.assert_allclose(target.of("a nurse"), [0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('values = ["woman", "man"]', "needed the values"),
        (
            'values = ["young", "adult", "old"]\n[subjects]\nnurse = [0.5, 0.5]',
            "a list of 3 numb",
        ),
        ('values = ["young", "adult", "old"]\ndefault = [0.5, 0.5, 0.5]', "sum to 1"),
        ('values = ["young", "adult", "old"]\ndefault = [1.5, -0.5, 0]', "from 0 to 1"),
        ('values = ["young", "adult", "old"]\nsubjects = 3', "subjects is 3; needed a table"),
        ("values = [", "is not TOML"),
    ],
)
def test_a_table_that_is_no_target_is_refused(tmp_path, text, named):
    path = tmp_path / "target.toml"
    path.write_text(text)
    with pytest.raises(DataError, match=named):
        Target.read(path, VALUES)


def test_shares_of_another_number_of_values_are_refused():
    np.testing.assert_allclose(Target.parity(3).of("a nurse"), [1 / 3] * 3)
    with pytest.raises(DataError, match="the target of nurse has 2 shares; needed 3"):
        Target(np.ones(3) / 3, {"nurse": np.array([0.5, 0.5])})
