"""Write a lexicon of the 153 occupations of Fair-Diffusion (Friedrich et al. 2023).

``python examples/lexicon_153.py results_fairface_laion.txt > lexicon.toml`` reads the file of
github.com/ml-research/Fair-Diffusion. The shipped occupations keep their split; the others are for
testing. Their shares of women are those of the faces in LAION-5B.
"""

import re
import sys
from pathlib import Path

from probe.text.lexicon import DEFAULT, Lexicon

COUNTS = re.compile(r"(?m)^(?P<job>.+)\nman: (?P<men>\d+), woman: (?P<women>\d+)")


def lexicon(counts: str) -> str:
    """Return the shipped lexicon with the occupations of a file of counts added."""
    known = {job.lower() for job in Lexicon.load().nouns}
    entries = [DEFAULT.read_text(encoding="utf-8")]
    for found in COUNTS.finditer(counts):
        men, women = int(found["men"]), int(found["women"])
        if found["job"].lower() not in known and men + women:
            entries.append(
                f'[[occupation]]\nname = "{found["job"]}"\nsplit = "test"\n'
                f"share_women = {women / (men + women):.3f}\n"
                'source = "FairFace counts of LAION-5B, by Fair-Diffusion"\n'
            )
    return "\n".join(entries)


if __name__ == "__main__":
    sys.stdout.write(lexicon(Path(sys.argv[1]).read_text(encoding="utf-8")))
