"""Fairness of images, labels or counts from any source: figures, and what cannot be concluded."""
