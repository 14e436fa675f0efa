"""
What importing costs: CPU seconds of a new interpreter, the median of several, and the ratio to `import torch`.

`python -m benchmarks.imports [--runs 5]`
"""

import argparse
import resource
import statistics
import subprocess
import sys

STATEMENTS = (
    "import torch",
    "from spigot_allennlp.nn.simplex import project_onto_simplex",
    "from spigot_allennlp.structures import NonprojectiveTree",
    "from spigot_allennlp.surrogates import Spigot",
    "from allennlp.common import Registrable",
    "import allennlp.commands",
    "import spigot_allennlp.plugin",
)


def cpu_seconds(statement: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-W", "ignore", "-c", statement], check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    cpu_seconds(STATEMENTS[-1])  # compiles what is not yet
    medians = {s: statistics.median(cpu_seconds(s) for _ in range(runs)) for s in STATEMENTS}
    print("| statement | CPU seconds | times `import torch` |\n|---|---|---|")
    for statement, seconds in medians.items():
        print(f"| `{statement}` | {seconds:.2f} | {seconds / medians[STATEMENTS[0]]:.2f} |")


if __name__ == "__main__":
    main()
