"""Correct shares for the errors of a classifier, from a labelled sample."""
