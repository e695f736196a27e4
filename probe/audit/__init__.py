"""Fairness of anybody's pictures, labels or counts: figures, and what cannot be concluded."""
