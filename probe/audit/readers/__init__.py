"""Readers of the label, count, picture and target files that people have."""
