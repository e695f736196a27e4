import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.stats.notation import counted, interval, number, over, p_value, percent

SPACE, MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"


def found(value, low, high):
    return {"value": value, "low": low, "high": high}


def test_numbers_have_a_true_minus_sign_and_zero_has_none():
    assert number(-0.1234) == f"{MINUS}0.123"
    assert number(-0.0001) == "0.000"
    assert percent(0.985) == f"98.5{SPACE}%"
    assert (p_value(0.0002), p_value(0.04)) == ("p < 0.001", "p = 0.040")


@pytest.mark.parametrize(
    ("of", "options", "text"),
    [
        (found(0.35, 0.3, 0.4), {}, "0.350 [0.300, 0.400]"),
        (found(-0.2, -0.25, -0.1), {"digits": 2}, f"{MINUS}0.20 [{MINUS}0.25, {MINUS}0.10]"),
        (found(0.25, 0.2, 0.3), {"scale": "%"}, f"25.0{SPACE}% [20.0, 30.0]"),
        (found(0.12, -0.04, 0.3), {"scale": "points"}, f"+12 [{MINUS}4, 30]"),
        (found(-0.12, -0.3, 0.0), {"scale": "points"}, f"{MINUS}12 [{MINUS}30, 0]"),
        (found(0.001, -0.04, 0.3), {"scale": "points"}, f"0 [{MINUS}4, 30]"),
        (found(3.4e-5, 1.6e-5, 7.4e-5), {"digits": 4}, "0.000034 [0.000016, 0.000074]"),
        (found(3e-9, -1e-9, 7e-9), {}, f"3.0e{MINUS}09 [{MINUS}1.0e{MINUS}09, 7.0e{MINUS}09]"),
        (found(1e-16, -1e-16, 1e-16), {}, "0.000 [0.000, 0.000]"),
        (found(0.0, 0.0, 0.0), {"digits": 4}, "0.0000 [0.0000, 0.0000]"),
        (found(0.014, -0.001, 0.02), {"digits": 4}, f"0.0140 [{MINUS}0.0010, 0.0200]"),
        (found(1.0, 0.9963, 1.0), {"digits": 2}, "1.0000 [0.9963, 1.0000]"),
        (found(0.5, 0.4999, 0.5001), {}, "0.50000 [0.49990, 0.50010]"),
        (None, {}, ""),
    ],
)
def test_an_interval_is_written_in_one_way(of, options, text):
    assert interval(of, **options) == text


@given(value=st.floats(-1e3, 1e3), digits=st.integers(1, 6))
def test_a_written_number_reads_back_within_its_rounding(value, digits):
    text = number(value, digits).replace(MINUS, "-")
    assert float(text) == pytest.approx(value, abs=0.5000001 * 10.0**-digits)


def test_the_unit_and_n_of_an_interval_are_written_where_they_are_known():
    assert over({**found(0, 0, 1), "unit": "occupations", "n": 1240}) == "1,240 occupations"
    assert over(found(0, 0, 1)) == ""


def test_one_thing_is_written_in_the_singular():
    assert [counted(n, "images") for n in (0, 1, 1200)] == ["0 images", "1 image", "1,200 images"]
