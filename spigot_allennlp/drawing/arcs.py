"""
Trees and graphs over their words, as SVG pictures.

What is drawn is placed by our own [layout](./layout.md). displaCy gives all words one width and piles arcs up by their
length; brat needs a browser to measure text in; deplacy has columns of one width and one head a word; conllu.js leaves
it to brat.
"""

from collections.abc import Collection, Iterable, Sequence

from spigot_allennlp.drawing.kinds import DIFFERENCES, Meanings
from spigot_allennlp.drawing.picture import place
from spigot_allennlp.drawing.side import Arc, Side, tree_side
from spigot_allennlp.drawing.svg import write


def draw(
    tokens: Sequence[str],
    above: Side | None = None,
    below: Side | None = None,
    tags: Sequence[str] | None = None,
    emphasis: Sequence[float] | None = None,
    meanings: Meanings = DIFFERENCES,
    max_width: float | None = None,
) -> str:
    """
    A sentence with a structure above it, another below it, or both, as an SVG document.

    # Parameters

    tokens : `Sequence[str]`
    above, below : `Side`, optional (default = `None`)
    tags : `Sequence[str]`, optional (default = `None`)
        What is written below each word.
    emphasis : `Sequence[float]`, optional (default = `None`)
        How much each word stands out, from 0 to 1.
    meanings : `tuple[str, str, str]`, optional
        Where a side has something gold: what the legend says of arcs that are in both, predicted alone and gold alone.
    max_width : `float`, optional (default = `None`)
        How wide the picture may be; longer sentences go on on the next line. By default there is one line.

    # Raises

    `ValueError` for lists of different lengths, and for positions out of the sentence.
    """
    legend = meanings if any(side is not None and side.has_gold for side in (above, below)) else None
    picture = place(tokens, above, below, tags, emphasis, legend, max_width)
    return write(picture, tokens, legend)


def draw_tree(
    tokens: Sequence[str],
    heads: Sequence[int],
    head_tags: Sequence[str] | None = None,
    gold_heads: Sequence[int] | None = None,
    meanings: Meanings = DIFFERENCES,
    gold_tags: Sequence[str] | None = None,
    max_width: float | None = None,
) -> str:
    """
    A dependency tree as an SVG document. The tokens whose head is ROOT are marked `root`.

    # Parameters

    tokens : `Sequence[str]`
    heads : `Sequence[int]`
        The head of each token, a 1-based position or 0 for ROOT.
    head_tags : `Sequence[str]`, optional (default = `None`)
        The label of each arc.
    gold_heads : `Sequence[int]`, optional (default = `None`)
        What `heads` should be. Differences are coloured, dashed and marked with a plus sign (only predicted) or a
        minus sign (only gold).
    meanings : `tuple[str, str, str]`, optional
        What the legend says of arcs in both, in `heads` alone and in `gold_heads` alone.
    gold_tags : `Sequence[str]`, optional (default = `None`)
        What `head_tags` should be; by default they are not compared.
    max_width : `float`, optional (default = `None`)
        See [`draw`](#draw).

    # Raises

    `ValueError` for lists of different lengths, and for arcs from a token to itself or out of the sentence.
    """
    if len(tokens) != len(heads):
        raise ValueError(f"Expected lists of one length, found {sorted({len(tokens), len(heads)})}")
    side = tree_side(heads, head_tags, gold_heads, gold_tags)
    return draw(tokens, side, meanings=meanings, max_width=max_width)


def draw_graph(
    tokens: Sequence[str],
    arcs: Iterable[Arc],
    tops: Collection[int] = (),
    gold: Iterable[Arc] | None = None,
    gold_tops: Collection[int] | None = None,
    mark: str = "top",
    meanings: Meanings = DIFFERENCES,
    max_width: float | None = None,
) -> str:
    """
    A semantic graph as an SVG document.

    # Parameters

    tokens : `Sequence[str]`
    arcs : `Iterable[tuple[int, int, str]]`
        (predicate, argument, label) of each arc, in 1-based positions.
    tops : `Collection[int]`, optional (default = `()`)
    gold : `Iterable[tuple[int, int, str]]`, optional (default = `None`)
        What `arcs` should be. Differences are coloured, dashed and marked with a plus sign (only predicted) or a
        minus sign (only gold); an arc with another label is one of each.
    gold_tops : `Collection[int]`, optional (default = `None`)
        What `tops` should be.
    mark : `str`, optional (default = `"top"`)
        What is written below the tops.
    meanings : `tuple[str, str, str]`, optional
        What the legend says of arcs in both, in `arcs` alone and in `gold` alone.
    max_width : `float`, optional (default = `None`)
        See [`draw`](#draw).

    # Raises

    `ValueError` for arcs from a token to itself or out of the sentence.
    """
    side = Side(list(arcs), tops, mark, None if gold is None else list(gold), gold_tops)
    return draw(tokens, side, meanings=meanings, max_width=max_width)
