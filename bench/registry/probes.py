"""Why MLflow is a mirror of ours and not the record itself: the same questions to both, and what each answers.

    make .venv-bench-registry/ready
    python3 -m bench.registry.probes

Each probe runs in a process of its own, on our side in `.venv`, on MLflow's in `.venv-bench-registry`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench.harness import Side
from bench.registry.__main__ import PEERS

PROBES = {
    "digests": "The digest of a training set, where",
    "overwritten": "A registered model's file was overwritten on the disk, and is",
    "aliases": "Two people saw version 1 as champion; one makes it 2, the other then makes it 3",
    "opening": "Eight processes open a fresh store on SQLite at once, three times",
    "pickles": "The form of a model's file",
    "size": "pip install",
}
"""What each asks, in words; the questions below it are told by the sides."""


def main(chosen: Sequence[str]) -> None:
    for name in chosen or PROBES:
        ours = Side(f"ours, {name}", "bench.registry.probes_ours", name).run()
        theirs = Side(f"MLflow, {name}", "bench.registry.peers.mlflow_probes", name, python=PEERS).run()
        print(f"\n{PROBES[name]}")
        for question, answer in theirs.items():
            if question not in ("peak", "versions"):
                print(f"  {question}")
                print(f"    MLflow    {answer}")
                print(f"    Backstay  {ours[question]}")


if __name__ == "__main__":
    main(sys.argv[1:])
