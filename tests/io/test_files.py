"""Texts that go into files which other programs open."""

from __future__ import annotations

import pytest

from probe.io.files import harmless


@pytest.mark.parametrize("text", ["=1+1", "+1", "-2", "@sum", "\tx", "\rx", "  =cmd|' /C calc'!A0"])
def test_a_text_that_a_spreadsheet_would_run_is_marked_as_text(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "nurse", "a=b", "mother-in-law", "'quoted", "ñ"])
def test_other_texts_stay_as_they_are(text):
    assert harmless(text) == text
