"""The file formats in which predictions can be written."""

from allennlp.common.util import JsonDict

from spigot_allennlp.data.conll import ConllSentence, format_conll
from spigot_allennlp.data.sdp import SdpSentence, format_sdp
from spigot_allennlp.predictors.confidence import misc_of


def to_sdp(output: JsonDict) -> str:
    """A predicted graph in SDP 2015, with columns for the syntactic tree where there is one with labels."""
    has_tree = "head_tags" in output
    return format_sdp(
        SdpSentence(
            output["tokens"],
            output["lemmas"],
            output["tags"],
            arcs=[tuple(arc) for arc in output.get("arcs", [])],
            tops=output.get("tops", []),
            heads=output["heads"] if has_tree else None,
            deprels=output["head_tags"] if has_tree else None,
            sentence_id=output.get("sentence_id"),
        )
    )


def to_conllu(output: JsonDict) -> str:
    """A predicted tree in CoNLL-U; where it has no labels, they are `_`."""
    heads = output["heads"]
    sentence = ConllSentence.from_tree(
        output["tokens"],
        output["lemmas"],
        output["tags"],
        heads,
        output.get("head_tags", ["_"] * len(heads)),
        output.get("sentence_id"),
    )
    for token, word in enumerate(sentence.words):
        if misc := misc_of(output, token):
            word["misc"] = "|".join(f"{key}={value}" for key, value in misc.items())
    return format_conll(sentence)
