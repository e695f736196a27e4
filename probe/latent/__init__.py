"""Gender bias in embeddings: directions, erasers, association tests, tracing, maps, prediction."""
