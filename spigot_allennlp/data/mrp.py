"""
MRP, the JSON lines of the shared tasks on [meaning representation parsing](http://mrp.nlpl.eu), which
[mtool](https://github.com/cfmrp/mtool) scores: bilexical graphs, those of flavor 0.

The nodes are the tokens that have an arc or are a top, as mtool makes them of SDP. Their label is the lemma, or the
form where there is none; `pos` and `frame` are properties. What else is known of a sentence is in a key of our own,
`spigot`, as [`exchange`](./exchange.md) describes it.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from spigot_allennlp.data.conll_graph import EMPTY, find_tokens

OURS = "spigot"
_OF_THE_GRAPH = {"id", "flavor", "input", "tops", "nodes", "edges", OURS}
_TEXT = "# text = "


def to_mrp(content: Mapping[str, Any], number: int, framework: str = "dm") -> dict[str, Any]:
    """
    The object of a line.

    # Parameters

    content : `Mapping[str, Any]`
        A sentence as [`exchange`](./exchange.md) describes it.
    number : `int`
        Of the sentence in the file: its id, if it has none.
    framework : `str`, optional (default = `"dm"`)
        What graph it is, for one that does not say so itself.
    """
    text, anchors = _anchor(content)
    arcs, tops = content.get("arcs", []), content.get("tops", [])
    frames = content.get("frames") or [EMPTY] * len(content["tokens"])
    positions = {*tops, *(position for arc in arcs for position in arc[:2])}
    nodes = []
    for position in sorted(positions):
        index = position - 1
        properties = {"pos": content["tags"][index], "frame": frames[index]}
        properties = {name: value for name, value in properties.items() if value != EMPTY}
        lemma = content["lemmas"][index]
        node = {"id": index, "label": content["tokens"][index] if lemma == EMPTY else lemma}
        if properties:
            node |= {"properties": list(properties), "values": list(properties.values())}
        start, end = anchors[index]
        nodes.append(node | {"anchors": [{"from": start, "to": end}]})
    return {
        "id": content.get("sentence_id") or str(number),
        "flavor": 0,
        "framework": framework,
        "version": 1.1,
        "time": date.today().isoformat(),
        **content.get("mrp", {}),
        "input": text,
        "tops": [top - 1 for top in tops],
        "nodes": nodes,
        "edges": [
            {"source": predicate - 1, "target": argument - 1, "label": label} for predicate, argument, label in arcs
        ],
        OURS: {key: value for key, value in content.items() if key not in ("arcs", "tops", "mrp")},
    }


def from_mrp(graph: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """
    The sentence of a line, as [`exchange`](./exchange.md) describes it, and what of it has no place there. Where the
    line does not say what the tokens are, they are what the nodes stand on, and the words between.

    # Raises

    `ValueError` for another flavor of graphs, and for nodes that do not stand on one token each.
    """
    if graph.get("flavor", 0) != 0:
        raise ValueError(f"expected a bilexical graph, of flavor 0, found flavor {graph['flavor']!r}")
    try:
        content, position_of, dropped = _read_nodes(graph)
        edges = graph.get("edges", [])
        content["arcs"] = sorted(
            [position_of[edge["source"]], position_of[edge["target"]], edge["label"]] for edge in edges
        )
        content["tops"] = [position_of[top] for top in graph.get("tops", [])]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"expected nodes with id and anchors, and edges between them, found {error!r}") from None
    if any(not edge.keys() <= {"id", "source", "target", "label"} for edge in edges):
        dropped.add("attributes of edges")
    others = {key: value for key, value in graph.items() if key not in _OF_THE_GRAPH}
    return (content | {"mrp": others} if others else content), dropped


def _read_nodes(graph: Mapping[str, Any]) -> tuple[dict[str, Any], dict[int, int], set[str]]:
    """The sentence without its arcs, the position of each node by its id, and what is dropped."""
    nodes = graph.get("nodes", [])
    if OURS in graph:
        return dict(graph[OURS]), {node["id"]: node["id"] + 1 for node in nodes}, set()
    text = graph["input"]
    spans = {}
    for node in nodes:
        pieces = node["anchors"]
        spans[min(piece["from"] for piece in pieces), max(piece["to"] for piece in pieces)] = node
    bounds = [bound for span in sorted(spans) for bound in span]
    if len(spans) < len(nodes) or bounds != sorted(bounds) or not all(text[start:end].strip() for start, end in spans):
        raise ValueError("expected nodes that stand on one token each, found some that overlap or stand on none")
    content: dict[str, Any] = {key: [] for key in ("tokens", "tags", "lemmas", "frames")}
    position_of: dict[int, int] = {}
    last = 0
    for (start, end), node in [*sorted(spans.items()), ((len(text), len(text)), None)]:
        for word in text[last:start].split():
            _add_token(content, word)
        if node is not None:
            properties = dict(zip(node.get("properties", []), node.get("values", []), strict=True))
            frame, tag = properties.get("frame", EMPTY), properties.get("pos", EMPTY)
            _add_token(content, text[start:end], tag, node.get("label", EMPTY), frame)
            position_of[node["id"]] = len(content["tokens"])
        last = end
    if set(content["frames"]) <= {EMPTY}:
        del content["frames"]
    content |= {"sentence_id": str(graph["id"]), "text": text}
    others = {name for node in nodes for name in node.get("properties", [])} - {"pos", "frame"}
    return content, position_of, {"properties of nodes"} if others else set()


def _add_token(content: dict[str, Any], form: str, tag: str = EMPTY, lemma: str = EMPTY, frame: str = EMPTY) -> None:
    for key, value in zip(("tokens", "tags", "lemmas", "frames"), (form, tag, lemma, frame), strict=True):
        content[key].append(" ".join(value.split()))


def _anchor(content: Mapping[str, Any]) -> tuple[str, list[tuple[int, int]]]:
    """The raw text, and where in it each token is; where it is not known, the tokens with spaces between."""
    tokens = content["tokens"]
    comments = (comment[len(_TEXT) :] for comment in content.get("comments", ()) if comment.startswith(_TEXT))
    text = content.get("text", next(comments, None))
    if text is not None:
        # The words of a multiword token stand where it stands.
        surface: list[tuple[str, int]] = []
        ranges = dict(_range(row) for row in content.get("extra_rows", ()) if "-" in row[0])
        position = 1
        while position <= len(tokens):
            form, end = ranges.get(position, (tokens[position - 1], position))
            surface.append((form, end - position + 1))
            position = end + 1
        anchors = find_tokens((form for form, _ in surface), text)
        if anchors is not None:
            sizes = (size for _, size in surface)
            return text, [anchor for anchor, size in zip(anchors, sizes, strict=True) for _ in range(size)]
    text = " ".join(tokens)
    return text, find_tokens(tokens, text)


def _range(row: list[str]) -> tuple[int, tuple[str, int]]:
    """Of a multiword token its first word, its form and its last word."""
    first, _, last = row[0].partition("-")
    return int(first), (row[1], int(last))
