import pytest

from spigot_allennlp.data.companion import add_trees
from spigot_allennlp.data.conll import parse_conll
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.sdp import parse_sdp

GRAPHS = "#a\n1\tDogs\tdog\tNNS\t-\t-\t_\n2\tbark\tbark\tVBP\t+\t-\t_\n\n#b\n1\tYes\tyes\tUH\t-\t-\t_\n"
TREES = """\
# sent_id = a
1	Dogs	dog	NOUN	NNS	_	2	nsubj	_	_
2	bark	bark	VERB	VBP	_	0	root	_	_

# sent_id = b
1	Yes	yes	INTJ	UH	_	0	root	_	_
"""


def _add_trees(graphs, trees):
    return add_trees(parse_sdp(graphs.splitlines()), parse_conll(trees.splitlines()), "x.sdp", "x.conllu")


def test_each_sentence_gets_its_tree():
    first, second = _add_trees(GRAPHS, TREES)
    assert (first.sentence_id, first.heads, first.deprels) == ("a", [2, 0], ["nsubj", "root"])
    assert (second.sentence_id, second.heads, second.deprels) == ("b", [0], ["root"])
    assert first.tops == [2]


@pytest.mark.parametrize(
    "graphs, trees, message",
    [
        (
            GRAPHS,
            TREES.replace("Yes", "No"),
            r"conllu, line 5, sentence 'b': expected the form 'Yes' at position 1, .* line 5, found 'No'",
        ),
        (GRAPHS, TREES.partition("\n\n")[0], r"x\.sdp, line 5, sentence 'b': expected the same .* in x\.conllu"),
        (GRAPHS.partition("\n\n")[0], TREES, r"x\.conllu, line 5, sentence 'b': expected the same .* in x\.sdp"),
        (
            GRAPHS,
            TREES.replace("_\t0\troot\t_\t_\n\n", "_\t0\troot\t_\t_\n").replace("# sent_id = b\n1", "3"),
            r"expected 2 tokens, .* found 3",
        ),
        (GRAPHS, TREES.replace("UH\t_\t0", "UH\t_\t_"), r"x\.conllu, line 5, sentence 'b': expected a tree"),
    ],
    ids=["forms", "fewer trees", "fewer graphs", "a longer sentence", "no tree"],
)
def test_disagreement_is_named(graphs, trees, message):
    with pytest.raises(FormatError, match=message):
        list(_add_trees(graphs, trees))
