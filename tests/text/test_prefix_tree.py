"""The tree holds every distinct prefix once, and its packs need nothing of each other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from probe.text.encoding.prefix_tree import PrefixTree

# Few tokens, so that prefixes are shared, sequences repeat, and some begin others.
SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=7), max_size=25)


def build(sequences):
    width = max(map(len, sequences), default=1)
    ids = [sequence + [9] * (width - len(sequence)) for sequence in sequences]
    return PrefixTree.build(np.array(ids, dtype=int).reshape(len(ids), width), lengths(sequences))


def lengths(sequences):
    return np.array([len(sequence) for sequence in sequences], dtype=int)


def prefix(tree, node):
    return tuple(tree.tokens[tree.ancestors[node, : tree.depths[node] + 1]].tolist())


@given(sequences=SEQUENCES)
def test_nodes_are_the_distinct_prefixes_in_order_and_each_once(sequences):
    tree = build(sequences)
    expected = {tuple(s[: n + 1]) for s in sequences for n in range(len(s))}
    assert [prefix(tree, node) for node in range(len(tree))] == sorted(expected)
    assert [prefix(tree, end) for end in tree.ends] == [tuple(s) for s in sequences]


@given(sequences=SEQUENCES, size=st.integers(1, 12))
def test_packs_hold_every_node_once_with_all_its_ancestors(sequences, size):
    tree = build(sequences)
    owned, ended = [], []
    for pack in tree.packs(size):
        own = pack.nodes[pack.nodes >= len(owned)]
        assert len(pack) - len(own) == tree.depths[own[0]]
        assert len(own) <= size
        owned += own.tolist()
        ended += pack.nodes[pack.ends].tolist()
        for place, node in enumerate(pack.nodes):
            line = pack.ancestors[place, : pack.depths[place] + 1]
            assert [prefix(tree, other) for other in pack.nodes[line]] == [
                prefix(tree, node)[: n + 1] for n in range(tree.depths[node] + 1)
            ]
            assert (pack.ancestors[place, pack.depths[place] + 1 :] == -1).all()
    assert owned == list(range(len(tree)))
    assert ended == sorted(set(tree.ends.tolist()))


@given(sequences=SEQUENCES.filter(len), size=st.integers(1, 40), block=st.integers(1, 9))
def test_in_a_block_a_node_looks_at_itself_and_its_ancestors_each_once(sequences, size, block):
    for pack in build(sequences).packs(size):
        keys, mask = pack.blocks(block)
        seen = [keys[row, look].tolist() for row in range(len(keys)) for look in mask[row]]
        for place, looked in enumerate(seen):
            if place < len(pack):
                assert sorted(looked) == pack.ancestors[place, : pack.depths[place] + 1].tolist()
            else:
                assert place in looked  # or the softmax over its keys were not a number
