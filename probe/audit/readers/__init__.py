"""Readers of the label, count, image and target files that people have."""
