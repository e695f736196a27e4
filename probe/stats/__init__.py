"""Confidence intervals and tests, aware of clusters; the only place for them."""
