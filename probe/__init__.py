"""Find, correct and prove gender bias in text-to-image models.

The names in ``__init__.pyi`` are imported when they are first used, so that ``import probe`` costs
next to nothing.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
