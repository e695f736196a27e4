"""The prefix tree of token sequences: a common beginning of sequences is in it once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from probe.arrays import Indices, Mask

Places = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class PrefixTree:
    """Every distinct prefix of some sequences, as one node; in depth-first order.

    A node precedes all nodes that begin with it, so that a run of neighbours, together with the
    ancestors of its first node, contains all its ancestors.
    """

    tokens: Indices
    """Last token of each prefix, of shape (n_nodes,)."""
    depths: Indices
    """Its position in the sequence, counted from 0; of shape (n_nodes,)."""
    ancestors: Places
    """Of shape (n_nodes, n_tokens). Column j has the prefix of j + 1 tokens of each node; the node
    itself is at its depth, and -1 is below it.
    """
    ends: Indices
    """The node that is the whole sequence, of shape (n_sequences,)."""

    @classmethod
    def build(cls, ids: npt.ArrayLike, lengths: npt.ArrayLike) -> PrefixTree:
        """Find the distinct prefixes by one sort.

        ``ids`` are token ids of shape (n_sequences, n_tokens), not negative; those beyond the
        length of a row are ignored. ``lengths`` are of shape (n_sequences,), each at least 1.
        """
        table, counts = np.asarray(ids), np.asarray(lengths)
        width = int(counts.max(initial=0))
        inside = np.arange(width) < counts[:, None]
        table = np.where(inside, table[:, :width], -1)
        order = np.lexsort(table.T[::-1]) if width else np.arange(0)
        table, inside = table[order], inside[order]
        is_new = np.ones(table.shape, dtype=bool)
        np.logical_or.accumulate(table[1:] != table[:-1], axis=1, out=is_new[1:])
        is_new &= inside
        # Numbered along the rows, so a node's number is the highest so far in its column.
        count = np.cumsum(is_new, dtype=np.int32).reshape(table.shape)
        number = np.where(is_new, count - 1, np.int32(-1))
        number = np.maximum.accumulate(number, axis=0)
        rows, depths = np.nonzero(is_new)
        ends = np.empty(len(order), dtype=np.intp)
        ends[order] = number[np.arange(len(order)), counts[order] - 1]
        ancestors = number[rows]
        ancestors[np.arange(width) > depths[:, None]] = -1
        return cls(table[rows, depths].astype(np.intp), depths, ancestors, ends)

    def __len__(self) -> int:
        """The number of nodes."""
        return len(self.tokens)

    def packs(self, size: int) -> Iterator[Pack]:
        """Cut the tree into equal, independent pieces of at most ``size`` nodes.

        A pack also has the ancestors of its first node, which an earlier pack has too.
        """
        wanted = np.zeros(len(self), dtype=bool)
        wanted[self.ends] = True
        n_packs = -(-len(self) // size)
        cuts = np.linspace(0, len(self), n_packs + 1, dtype=np.intp)
        for start, stop in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            above = self.ancestors[start, : self.depths[start]]
            nodes = np.concatenate([above, np.arange(start, stop)])
            local = self.ancestors[nodes]
            # The ancestors of the first node are one at each depth: their depth is their position.
            column = np.arange(local.shape[1], dtype=np.int32)
            place = np.where(local >= start, local - (start - len(above)), column)
            ends = np.flatnonzero(wanted[start:stop])
            yield Pack(
                tokens=self.tokens[nodes],
                depths=self.depths[nodes],
                ancestors=np.where(local < 0, np.int32(-1), place),
                ends=ends + len(above),
            )


@dataclass(frozen=True, eq=False)
class Pack:
    """Some nodes of a prefix tree with all their ancestors, renumbered; depth-first."""

    tokens: Indices
    """Shape (n,)."""
    depths: Indices
    """Shape (n,)."""
    ancestors: Places
    """As in the tree, by positions in the pack; of shape (n, n_tokens)."""
    ends: Indices
    """Positions of nodes where a sequence ends, without the ancestors of the first node."""

    def __len__(self) -> int:
        """The number of nodes."""
        return len(self.tokens)

    def blocks(self, size: int) -> tuple[Indices, Mask]:
        """Cut the pack into blocks of neighbours, with the keys and the attention mask of each.

        A block attends to its nodes and to the ancestors of its first node: attention costs the
        length of the block, not of the pack.

        Returns
        -------
        keys : int ndarray of shape (n_blocks, n_keys)
            Positions of the nodes that a block attends to; positions that pad the last block are
            ``len(self)`` and more.
        mask : bool ndarray of shape (n_blocks, size, n_keys)
            Whether a key is the node itself or its ancestor. Padding attends to itself.
        """
        n_blocks = -(-len(self) // size)
        places = np.arange(n_blocks * size).reshape(n_blocks, size)
        first = places[:, 0]
        n_above = int(self.depths[first].max())
        is_above = np.arange(n_above) < self.depths[first, None]
        above = np.where(is_above, self.ancestors[first, :n_above], 0)
        keys = np.concatenate([above, places], axis=1)  # (n_blocks, n_above + size)
        inside = np.minimum(keys, len(self) - 1)
        own = np.minimum(places, len(self) - 1)
        mask = self.ancestors[own[:, :, None], self.depths[inside][:, None, :]] == keys[:, None, :]
        mask[:, :, :n_above] &= is_above[:, None, :]
        mask[:, :, n_above:] |= np.eye(size, dtype=bool)
        return keys, mask
