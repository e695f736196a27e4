"""Find the image model of a pipeline, by its class."""

from __future__ import annotations

from typing import Any

from probe.errors import ModelError
from probe.images.models.generic import Function, Generic
from probe.images.models.model import FAMILIES, ImageModel


def image_model(given: Any) -> ImageModel:
    """Return the image model of a pipeline or of a function; an image model is returned itself."""
    if isinstance(given, ImageModel):
        return given
    for kind in type(given).__mro__:
        if (family := family_of(kind.__name__)) is not None:
            return family(given)
    if hasattr(given, "components"):
        return Generic(given)
    if callable(given):
        return Function(given)
    raise ModelError(
        f"a {type(given).__name__} is no image model; needed a pipeline of diffusers, or a "
        "function of prompts and seeds that returns images"
    )


def family_of(class_name: str) -> type[ImageModel] | None:
    """Return the family of a pipeline's class; None if there is none, or a plugin opens it."""
    family = FAMILIES.get(class_name)
    return family if isinstance(family, type) and issubclass(family, ImageModel) else None
