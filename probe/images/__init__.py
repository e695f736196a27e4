"""Room 4, pictures and their scores: generation, attributes, fairness, quality."""
