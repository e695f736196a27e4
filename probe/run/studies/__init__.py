"""The studies, one a module: each registers itself when it is imported."""
