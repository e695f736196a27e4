"""WEFE's half of `benchmarks/association.py`, run by a Python that has WEFE and not our library.

`python benchmarks/wefe_side.py DATA N_PERMUTATIONS`: JSON of every measure and of the time of
each WEAT test, with that many of WEFE's permutations.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gensim.models import KeyedVectors
from wefe.metrics import ECT, RIPA, RND, WEAT
from wefe.query import Query
from wefe.word_embedding_model import WordEmbeddingModel


def main() -> None:
    """Run every test of the list that is read from the standard input."""
    data, n_permutations = Path(sys.argv[1]), int(sys.argv[2])
    words = json.loads((data / "WEAT.json").read_text(encoding="utf-8"))
    vectors = KeyedVectors.load_word2vec_format(str(data / "weat_w2v.txt"))
    model = WordEmbeddingModel(vectors, "GoogleNews")
    found: dict[str, Any] = {"version": version("wefe"), "tests": {}}
    for name, (x, y, a, b) in json.load(sys.stdin).items():
        targets, attributes = [words[x], words[y]], [words[a], words[b]]
        begun = time.perf_counter()
        WEAT().run_query(Query(targets, attributes), model)
        before = time.perf_counter()
        weat = WEAT().run_query(
            Query(targets, attributes),
            model,
            calculate_p_value=True,
            p_value_iterations=n_permutations,
        )
        ended = time.perf_counter()
        one = Query(targets, attributes[:1])
        found["tests"][name] = {
            "seconds": ended - before,
            "seconds_without_p": before - begun,
            "weat": weat["weat"],
            "effect_size": weat["effect_size"],
            "rnd": RND().run_query(one, model)["rnd"],
            "ect": ECT().run_query(one, model)["ect"],
            "ripa": RIPA().run_query(one, model)["ripa"],
        }
    print(json.dumps(found, default=float))


if __name__ == "__main__":
    main()
