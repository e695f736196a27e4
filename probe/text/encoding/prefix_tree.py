"""The prefix tree of token sequences: what sequences begin with in common stands in it once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from probe.arrays import Indices, Mask
from probe.errors import ShapeError

Places = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class PrefixTree:
    """Every distinct prefix of some sequences, as one node; in depth-first order.

    A node stands before all that begin with it, so that any run of neighbours, together with the
    ancestors of its first, holds every ancestor of each.
    """

    tokens: Indices
    """Last token of each prefix, of shape (n_nodes,)."""
    depths: Indices
    """Its position in the sequence, counted from 0; of shape (n_nodes,)."""
    ancestors: Places
    """Of shape (n_nodes, n_tokens). In column j, the prefix of j + 1 tokens of each node, so that
    the node itself stands at its own depth; -1 below it.
    """
    ends: Indices
    """The node that is the whole sequence, of shape (n_sequences,)."""

    @classmethod
    def build(cls, ids: npt.ArrayLike, lengths: npt.ArrayLike) -> PrefixTree:
        """Find the distinct prefixes by one sort.

        Parameters
        ----------
        ids : int array of shape (n_sequences, n_tokens)
            Token ids, none negative; what stands beyond the length of a row is not looked at.
        lengths : int array of shape (n_sequences,)
            How many tokens of each row count; at least 1.

        Raises
        ------
        ShapeError
            If the two do not belong together, or a sequence is empty or longer than its row.
        """
        table, counts = np.asarray(ids), np.asarray(lengths)
        if table.ndim != 2 or counts.shape != table.shape[:1]:
            raise ShapeError(
                f"token ids are of shape {table.shape} and lengths of {counts.shape}; needed "
                "(n_sequences, n_tokens) and (n_sequences,)"
            )
        if len(counts) and not 1 <= counts.min() <= counts.max() <= table.shape[1]:
            raise ShapeError(
                f"sequences are of {counts.min()} to {counts.max()} tokens; needed 1 to "
                f"{table.shape[1]}, the width of their table"
            )
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
        """Cut the tree into equal pieces that need nothing of each other.

        Parameters
        ----------
        size : int
            How many nodes a pack may hold; the ancestors of its first, which an earlier pack has
            too, come on top: at most the number of tokens less one.

        Raises
        ------
        ValueError
            If the size is not positive.
        """
        if size < 1:
            raise ValueError(f"size is {size}; needed at least one node a pack")
        wanted = np.zeros(len(self), dtype=bool)
        wanted[self.ends] = True
        n_packs = -(-len(self) // size)
        cuts = np.linspace(0, len(self), n_packs + 1, dtype=np.intp)
        for start, stop in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            above = self.ancestors[start, : self.depths[start]]
            nodes = np.concatenate([above, np.arange(start, stop)])
            local = self.ancestors[nodes]
            # Above the first node stands one node at each depth: its depth is its place.
            column = np.arange(local.shape[1], dtype=np.int32)
            place = np.where(local >= start, local - (start - len(above)), column)
            ends = np.flatnonzero(wanted[start:stop])
            yield Pack(
                nodes=nodes,
                tokens=self.tokens[nodes],
                depths=self.depths[nodes],
                ancestors=np.where(local < 0, np.int32(-1), place),
                ends=ends + len(above),
            )


@dataclass(frozen=True, eq=False)
class Pack:
    """Some nodes of a prefix tree with all their ancestors, numbered anew; depth-first."""

    nodes: Indices
    """Their numbers in the tree, of shape (n,)."""
    tokens: Indices
    """Shape (n,)."""
    depths: Indices
    """Shape (n,)."""
    ancestors: Places
    """As in the tree, by their places in the pack; of shape (n, n_tokens)."""
    ends: Indices
    """Places of the nodes at which a sequence ends, without those above the pack's first node."""

    def __len__(self) -> int:
        """The number of nodes."""
        return len(self.tokens)

    def blocks(self, size: int) -> tuple[Indices, Mask]:
        """Cut the pack into blocks of neighbours, and say what each node may look at.

        A block looks at its own nodes and at the ancestors of its first, no further: so attention
        costs what the block is long, not what the pack is.

        Returns
        -------
        keys : int ndarray of shape (n_blocks, n_keys)
            Places of the nodes that a block looks at; places past the end of the pack, which fill
            the last block up, are ``len(self)`` and more.
        mask : bool ndarray of shape (n_blocks, size, n_keys)
            Whether a node may look at a key: whether it is the node itself or its ancestor. A
            place past the end looks at itself at least.
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
