"""
A latent class under a label, as in [Mihaylova et al., 2020](https://aclanthology.org/2020.emnlp-main.171/), section
5.1: what is seen are features, drawn around the centre of a class that is not seen, and the label is a linear function
of them, another one for each class. Only who finds the class can tell the label.

    python -m spigot_allennlp.data.latent_class 1000 --seed 1 > train.jsonl

There features are numbers with Gaussian noise. Here they are words, so that what reads sentences reads them: each is
`f7+` or `f7-`, its sign in the centre of the class or, with some probability, the other. All else is as it is there:
classes are equally probable, the signs of their centres and the weights of their linear functions are drawn at random,
and the threshold is the mean, so that either label is about as frequent within each class.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator
from typing import NamedTuple


class Example(NamedTuple):
    """
    tokens : `list[str]`
        A word for each feature, in order.
    latent_class : `int`
        Counted from 0.
    label : `int`
        0 or 1.
    """

    tokens: list[str]
    latent_class: int
    label: int


def generate(
    count: int,
    num_classes: int = 3,
    num_features: int = 30,
    flip_probability: float = 0.2,
    seed: int = 0,
    task_seed: int = 0,
) -> Iterator[Example]:
    """
    Examples at random.

    # Parameters

    count : `int`
    num_classes : `int`, optional (default = `3`)
    num_features : `int`, optional (default = `30`)
    flip_probability : `float`, optional (default = `0.2`)
        With which a feature has the other sign than the centre, above 0 and below 1.
    seed : `int`, optional (default = `0`)
        Of the examples.
    task_seed : `int`, optional (default = `0`)
        Of the centres and linear functions: training and development data have the same.

    # Raises

    `ValueError` for numbers below 1, and for another probability.
    """
    if min(count, num_classes, num_features) < 1 or not 0 < flip_probability < 1:
        raise ValueError("expected a count, classes and features of at least 1 and a probability between 0 and 1")
    task = random.Random(task_seed)
    centres = [[task.choice((-1, 1)) for _ in range(num_features)] for _ in range(num_classes)]
    weights = [[task.gauss(0, 1) for _ in range(num_features)] for _ in range(num_classes)]
    generator = random.Random(seed)
    for _ in range(count):
        latent_class = generator.randrange(num_classes)
        centre = centres[latent_class]
        signs = [-sign if generator.random() < flip_probability else sign for sign in centre]
        # Above the mean, in which each feature is `1 - 2 flip_probability` times its sign in the centre.
        shifts = (sign - (1 - 2 * flip_probability) * mean for sign, mean in zip(signs, centre, strict=True))
        score = sum(weight * shift for weight, shift in zip(weights[latent_class], shifts, strict=True))
        tokens = [f"f{number}{'+' if sign > 0 else '-'}" for number, sign in enumerate(signs, start=1)]
        yield Example(tokens, latent_class, int(score > 0))


def format_object(example: Example, number: int) -> str:
    """
    An example as a line of JSON that the reader `spigot_sentiment` reads, its words as lemmas. The latent class is what
    its id ends with, too.
    """
    tokens, latent_class, label = example
    columns = {"tokens": tokens, "tags": ["FEATURE"] * len(tokens), "lemmas": tokens}
    return json.dumps({"label": str(label), "latent_class": latent_class, "id": f"{number}-{latent_class}", **columns})


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m spigot_allennlp.data.latent_class", description="A latent class under a label."
    )
    parser.add_argument("count", type=int, help="how many examples")
    parser.add_argument("--num-classes", type=int, default=3, help="latent classes (3)")
    parser.add_argument("--num-features", type=int, default=30, help="words of an example (30)")
    parser.add_argument("--flip-probability", type=float, default=0.2, help="that a word is not its class's (0.2)")
    parser.add_argument("--seed", type=int, default=0, help="of the examples")
    parser.add_argument("--task-seed", type=int, default=0, help="of what the classes are")
    try:
        for number, example in enumerate(generate(**vars(parser.parse_args())), start=1):
            print(format_object(example, number))
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
