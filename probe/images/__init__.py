"""Image models: generation, interventions, classifiers, faces, quality."""
