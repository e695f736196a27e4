"""Image models by family: one file a family, which registers itself by its pipeline's class."""
