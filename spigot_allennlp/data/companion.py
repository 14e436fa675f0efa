from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from spigot_allennlp.data.conll import ConllSentence
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.sdp import SdpSentence


def add_trees(
    graphs: Iterable[SdpSentence], trees: Iterable[ConllSentence], graphs_name: str, trees_name: str
) -> Iterator[SdpSentence]:
    """
    Gives each sentence its tree from a companion file, which has the same sentences in the same order.

    # Parameters

    graphs : `Iterable[SdpSentence]`
    trees : `Iterable[ConllSentence]`
    graphs_name : `str`
        The file of the graphs, for messages.
    trees_name : `str`
        The companion file, for messages.

    # Raises

    `FormatError` where one file ends before the other, where the forms of a sentence differ, and where a sentence of
    the companion file has no tree.
    """
    for graph, tree in zip_longest(graphs, trees):
        if tree is None:
            message = f"expected the same number of sentences in {trees_name}, found its end"
            raise FormatError(message, graphs_name, graph.line, graph.sentence_id)
        if graph is None:
            message = f"expected the same number of sentences in {graphs_name}, found its end"
            raise FormatError(message, trees_name, tree.line, tree.sentence_id)
        if tree.forms != graph.forms:
            expected, found = _difference(graph.forms, tree.forms)
            message = f"expected {expected}, as in {graphs_name} at line {graph.line}, found {found}"
            raise FormatError(message, trees_name, tree.line, tree.sentence_id)
        if tree.heads is None:
            raise FormatError("expected a tree, found no heads", trees_name, tree.line, tree.sentence_id)
        yield replace(graph, heads=tree.heads, deprels=tree.deprels, upos=tree.upos, companion=tree)


def _difference(expected: Sequence[str], found: Sequence[str]) -> tuple[str, str]:
    """How two sentences differ, at the first form that does."""
    for position, (left, right) in enumerate(zip(expected, found, strict=False), start=1):
        if left != right:
            return f"the form {left!r} at position {position}", repr(right)
    return f"{len(expected)} tokens", str(len(found))
