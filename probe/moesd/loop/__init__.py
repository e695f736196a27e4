"""The training loop: precision, gradient accumulation, averaging, early stopping, resumption."""
