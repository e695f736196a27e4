"""Training objectives; each has a ``name``, a ``pace``, ``parameters`` and ``loss()``."""
