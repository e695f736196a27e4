"""A prompt's pictures as a mixture: its shares read, reweighted, and met by sampled routing."""
