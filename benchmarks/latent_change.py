"""
How far training on another task has moved a parser: its graphs before and after, on the same sentences, by hand.

    python -m benchmarks.latent_change output/parser/model.tar.gz output/sentiment/model.tar.gz sst/dev.txt

Prints the labelled and unlabelled arcs (tops included) that only the first archive predicts, that only the second does,
and that both do, with their share of all that either predicts.
"""

import argparse

from allennlp.predictors import Predictor

import spigot_allennlp.plugin  # noqa: F401
from spigot_allennlp.data.dataset_readers import SentimentReader

BATCH_SIZE = 64


def arcs(archive: str, sentences: list[dict[str, list[str]]]) -> list[set[tuple]]:
    """The arcs of each sentence: (predicate, argument, label), with ROOT as the predicate of the tops."""
    predictor = Predictor.from_path(archive)
    found = []
    for start in range(0, len(sentences), BATCH_SIZE):
        for output in predictor.predict_batch_json(sentences[start : start + BATCH_SIZE]):
            found.append({*map(tuple, output["arcs"]), *((0, top, "top") for top in output["tops"])})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", help="an archive")
    parser.add_argument("after", help="another")
    parser.add_argument("sentences", help="a file that the reader spigot_sentiment reads")
    arguments = parser.parse_args()
    keys = ("tokens", "tags", "lemmas")
    sentences = [
        {key: instance["metadata"][key] for key in keys} for instance in SentimentReader().read(arguments.sentences)
    ]
    before, after = arcs(arguments.before, sentences), arcs(arguments.after, sentences)
    for name, length in (("labelled", 3), ("unlabelled", 2)):
        counts = [0, 0, 0]
        for old, new in zip(before, after, strict=True):
            old, new = ({arc[:length] for arc in graph} for graph in (old, new))
            counts = [count + len(part) for count, part in zip(counts, (old - new, new - old, old & new), strict=True)]
        shares = [f"{count} ({count / max(sum(counts), 1):.1%})" for count in counts]
        print(f"{name:12}only before {shares[0]}, only after {shares[1]}, both {shares[2]}")


if __name__ == "__main__":
    main()
