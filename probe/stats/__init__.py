"""Confidence intervals and tests, aware of clusters; the only place for them.

Each module is about one estimand or one kind of test: `proportion`, `mean`, `correlation`,
`permutation`, `equivalence`, `multiplicity`, `power`, `sequential`. Every estimate is an
`Interval`; every function that resamples takes a `Resampling`.
"""
