"""
Draws a metric by epoch from a table such as docs/learning_curves.csv, by hand. Needs the extra `tune`.

    python -m benchmarks.learning_curves docs/learning_curves.csv "parser alone" docs/learning_curves.png

One line for each run whose name begins with the prefix; of several seeds it is the mean, with a point for each.
"""

import argparse
import csv
import statistics
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="with the columns run, seed, epoch and the metric")
    parser.add_argument("prefix", help="how the names of the runs begin")
    parser.add_argument("picture", type=Path, help="a PNG file to write")
    parser.add_argument("--metric", default="uas")
    arguments = parser.parse_args()

    runs: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    with arguments.table.open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            if row["run"].startswith(arguments.prefix) and row[arguments.metric]:
                runs[row["run"]][float(row["epoch"])].append(float(row[arguments.metric]))
    if not runs:
        parser.error(f"expected runs whose names begin with {arguments.prefix!r} and that have {arguments.metric}")
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for name, epochs in runs.items():
        means = [statistics.mean(values) for values in epochs.values()]
        (line,) = axes.plot(list(epochs), means, label=name.removeprefix(arguments.prefix).lstrip(", "))
        for epoch, values in epochs.items():
            axes.scatter([epoch] * len(values), values, color=line.get_color(), s=12)
    axes.set(xlabel="epoch", ylabel=arguments.metric)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize="small")
    figure.savefig(arguments.picture)


if __name__ == "__main__":
    main()
