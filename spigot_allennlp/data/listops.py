"""
ListOps ([Nangia & Bowman, 2018](https://aclanthology.org/N18-4013/)): nested operations on lists of digits, whose value
is the class. Only who finds the nesting can compute it, so that a latent tree can be held against the true one.

    python -m spigot_allennlp.data.listops 1000 --max-depth 4 --max-length 30 --seed 1 > listops.jsonl

An expression is `[MAX 2 9 [MIN 4 7 ] 0 ]`. In the true tree an operation is the head of its operands and of its closing
bracket; the outermost operation is the root.
"""

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

OPERATIONS: dict[str, Callable[[list[int]], int]] = {
    "[MIN": min,
    "[MAX": max,
    # Of two in the middle their mean, rounded down.
    "[MED": lambda values: (sorted(values)[(len(values) - 1) // 2] + sorted(values)[len(values) // 2]) // 2,
    "[SM": lambda values: sum(values) % 10,
}
"""Minimum, maximum, median, and the sum modulo 10."""


class Expression(NamedTuple):
    """
    tokens : `list[str]`
    tags : `list[str]`
        `OPERATION`, `DIGIT` or `CLOSE`.
    heads : `list[int]`
        The true tree: 1-based positions, 0 for the root.
    value : `int`
        From 0 to 9.
    """

    tokens: list[str]
    tags: list[str]
    heads: list[int]
    value: int


def generate(
    count: int,
    max_depth: int = 20,
    max_operands: int = 5,
    max_length: int | None = None,
    digit_probability: float = 0.75,
    seed: int = 0,
) -> Iterator[Expression]:
    """
    Different expressions at random, each an operation with 2 to `max_operands` operands.

    # Parameters

    count : `int`
    max_depth : `int`, optional (default = `20`)
        How many operations may be within each other, at least 1.
    max_operands : `int`, optional (default = `5`)
        At least 2.
    max_length : `int`, optional (default = `None`)
        The most tokens; longer expressions are drawn again.
    digit_probability : `float`, optional (default = `0.75`)
        With which an operand is a digit and no operation.
    seed : `int`, optional (default = `0`)

    # Raises

    `ValueError` for settings that allow no expression, or so few that a thousand draws in turn bring no new one.
    """
    if count < 1 or max_depth < 1 or max_operands < 2 or not 0 <= digit_probability <= 1:
        raise ValueError("expected a count and depth of at least 1, operands of at least 2 and a probability")
    generator = random.Random(seed)
    seen: set[tuple[str, ...]] = set()
    failures = 0
    while len(seen) < count:
        tokens: list[str] = []
        heads: list[int] = []
        value = _extend(tokens, heads, 0, generator, max_depth, max_operands, digit_probability)
        if (max_length is not None and len(tokens) > max_length) or tuple(tokens) in seen:
            failures += 1
            if failures == 1000:
                raise ValueError(f"expected settings that allow {count} different expressions, found {len(seen)}")
            continue
        failures = 0
        seen.add(tuple(tokens))
        tags = ["OPERATION" if t in OPERATIONS else "CLOSE" if t == "]" else "DIGIT" for t in tokens]
        yield Expression(tokens, tags, heads, value)


def _extend(
    tokens: list[str],
    heads: list[int],
    head: int,
    generator: random.Random,
    max_depth: int,
    max_operands: int,
    digit_probability: float,
) -> int:
    """Appends an operation below `head` and returns its value."""
    name = generator.choice(list(OPERATIONS))
    tokens.append(name)
    heads.append(head)
    position = len(tokens)
    values = []
    for _ in range(generator.randint(2, max_operands)):
        if max_depth == 1 or generator.random() < digit_probability:
            values.append(generator.randrange(10))
            tokens.append(str(values[-1]))
            heads.append(position)
        else:
            rest = (generator, max_depth - 1, max_operands, digit_probability)
            values.append(_extend(tokens, heads, position, *rest))
    tokens.append("]")
    heads.append(position)
    return OPERATIONS[name](values)


def format_object(expression: Expression, number: int) -> str:
    """An expression as a line of JSON that the reader `spigot_sentiment` reads, its words as lemmas."""
    tokens, tags, heads, value = expression
    columns = {"tokens": tokens, "tags": tags, "lemmas": tokens, "heads": heads}
    return json.dumps({"label": str(value), "id": str(number), **columns})


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m spigot_allennlp.data.listops", description="Expressions of ListOps."
    )
    parser.add_argument("count", type=int, help="how many expressions")
    parser.add_argument("--max-depth", type=int, default=20, help="operations within each other (20)")
    parser.add_argument("--max-operands", type=int, default=5, help="of an operation (5)")
    parser.add_argument("--max-length", type=int, help="the most tokens; by default there is no bound")
    parser.add_argument("--digit-probability", type=float, default=0.75, help="that an operand is a digit (0.75)")
    parser.add_argument("--seed", type=int, default=0)
    try:
        for number, expression in enumerate(generate(**vars(parser.parse_args())), start=1):
            print(format_object(expression, number))
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
