"""Maps of embeddings in two dimensions, and how far they can be trusted."""

from probe.latent.maps.coordinates import (
    NeighborMap,
    neighbor_map,
    principal_plane,
    umap_map,
)

__all__ = [
    "NeighborMap",
    "neighbor_map",
    "principal_plane",
    "umap_map",
]
