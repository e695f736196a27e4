"""The loop of every training: precision, accumulation, averaging, early stopping, resumption."""
