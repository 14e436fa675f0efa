import pytest
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Vocabulary
from allennlp.data.data_loaders import MultiProcessDataLoader

from spigot_allennlp.data.conll import format_conll, read_conll
from spigot_allennlp.data.dataset_readers import ROOT, TOP, ConlluReader, SdpReader
from spigot_allennlp.data.format_error import FormatError
from tests import FIXTURES_ROOT

TOY = FIXTURES_ROOT / "toy" / "toy.conllu"
EWT_DEV = FIXTURES_ROOT / "ewt" / "dev.conllu"


def test_words_are_the_tokens():
    instance = list(ConlluReader().read(TOY))[8]
    tokens = instance["tokens"].tokens
    assert [token.text for token in tokens] == [ROOT, "Mia", "ca", "n't", "swim", "."]
    assert [token.lemma_ for token in tokens] == [ROOT, "Mia", "can", "not", "swim", "."]
    assert [token.tag_ for token in tokens] == [ROOT, "NNP", "MD", "RB", "VB", "."]
    assert set(instance.fields) == {"tokens", "tree", "metadata"}
    metadata = dict(instance["metadata"].metadata)
    assert metadata.pop("source") == {"conllu": format_conll(list(read_conll(TOY))[8])}
    assert metadata == {
        "tokens": ["Mia", "ca", "n't", "swim", "."],
        "lemmas": ["Mia", "can", "not", "swim", "."],
        "tags": ["NNP", "MD", "RB", "VB", "."],
        "sentence_id": "toy-9",
    }


def test_trees_are_those_of_the_sdp_reader():
    trees = [instance["tree"] for instance in ConlluReader().read(EWT_DEV)]
    companions = [instance["tree"] for instance in SdpReader(trees="companion").read(EWT_DEV.with_suffix(".sdp"))]
    assert len(trees) == 100
    assert [tree.human_readable_repr() for tree in trees] == [tree.human_readable_repr() for tree in companions]


def test_tag_column():
    instance = next(ConlluReader(tag_column="upos").read(TOY))
    assert [token.tag_ for token in instance["tokens"].tokens] == [ROOT, "VERB"]
    with pytest.raises(ConfigurationError, match=r"`tag_column`.*'deprel'"):
        ConlluReader(tag_column="deprel")


def test_a_file_without_trees_gives_instances_without(tmp_path):
    path = tmp_path / "raw.conllu"
    path.write_text("1\tHi\thi\tINTJ\tUH\t_\t_\t_\t_\t_\n")
    (instance,) = ConlluReader().read(path)
    assert set(instance.fields) == {"tokens", "metadata"}


DEPS = """\
# sent_id = a
1	Mia	Mia	PROPN	NNP	_	2	nsubj	2:nsubj|3:nsubj	_
2	came	come	VERB	VBD	_	0	root	0:root	_
3	saw	see	VERB	VBD	_	2	conj	0:root|2:conj	_

# sent_id = b
1	Mia	Mia	PROPN	NNP	_	0	root	0:root	_
1.1	came	_	_	_	_	_	_	1:x	_
2	here	here	ADV	RB	_	1	orphan	1.1:advmod	_

"""


def test_graphs_are_in_deps(tmp_path, caplog):
    path = tmp_path / "enhanced.conllu"
    path.write_text(DEPS)
    first, second = ConlluReader(graphs="deps").read(path)
    arcs = {(*pair, label) for pair, label in zip(first["graph"].indices, first["graph"].labels, strict=True)}
    assert arcs == {(2, 1, "nsubj"), (3, 1, "nsubj"), (2, 3, "conj"), (0, 2, TOP), (0, 3, TOP)}
    assert second["graph"].indices == [(0, 1)]
    (message,) = [record.getMessage() for record in caplog.records if "DEPS" in record.getMessage()]
    assert "left out of 1 sentences; the first is at line 6" in message
    assert "graph" not in next(ConlluReader().read(path)).fields
    with pytest.raises(ConfigurationError, match=r"`graphs`.*'misc'"):
        ConlluReader(graphs="misc")


def test_a_sentence_that_is_too_long_is_named():
    assert len(list(ConlluReader(max_tokens_per_sentence=8).read(TOY))) == 10
    with pytest.raises(FormatError, match=r"toy\.conllu, line 24, sentence 'toy-4': expected at most 7 tokens"):
        list(ConlluReader(max_tokens_per_sentence=7).read(TOY))


def test_from_params():
    reader = DatasetReader.from_params(Params({"type": "spigot_conllu", "tag_column": "upos", "max_instances": 2}))
    assert len(list(reader.read(str(TOY)))) == 2


def test_each_instance_is_loaded_once_by_two_workers():
    loader = MultiProcessDataLoader(ConlluReader(), str(EWT_DEV), batch_size=8, num_workers=2)
    loader.index_with(Vocabulary.from_instances(ConlluReader().read(EWT_DEV)))
    loaded = [metadata["sentence_id"] for batch in loader for metadata in batch["metadata"]]
    expected = [instance["metadata"]["sentence_id"] for instance in ConlluReader().read(EWT_DEV)]
    assert sorted(loaded) == sorted(expected)


def test_escapes_are_words_where_that_is_asked_for():
    sentence = (["-LRB-"], ["-LRB-"], ["-lrb-"])
    for settings, word in (({}, "-LRB-"), ({"unescape_ptb": True}, "(")):
        instance = ConlluReader(**settings).text_to_instance(*sentence)
        assert instance["tokens"].tokens[1].text == word
        assert instance["metadata"]["tokens"] == ["-LRB-"]


@pytest.mark.parametrize(
    "convention, tag_column, expected",
    [
        ("ud", "xpos", [True, True, False]),
        ("ud", "upos", [True, True, False]),
        ("ptb", "xpos", [True, False, False]),
        ("ctb", "xpos", [False, False, True]),
    ],
)
def test_punctuation_by_convention(convention, tag_column, expected, tmp_path):
    columns = [("``", "PUNCT", "``"), ("-", "PUNCT", "HYPH"), ("x", "SYM", "PU")]
    rows = [
        f"{i}\t{form}\t{form}\t{upos}\t{xpos}\t_\t{i - 1}\tx\t_\t_\n" for i, (form, upos, xpos) in enumerate(columns, 1)
    ]
    (tmp_path / "x.conllu").write_text("".join(rows))
    (instance,) = ConlluReader(tag_column, punctuation=convention).read(tmp_path / "x.conllu")
    assert instance["metadata"]["is_punctuation"] == expected
    if convention == "ud":  # the companion of a graph
        graph = "".join(f"{i}\t{form}\t{form}\t{xpos}\t-\t-\t_\n" for i, (form, _, xpos) in enumerate(columns, 1))
        (tmp_path / "x.sdp").write_text(graph)
        (instance,) = SdpReader(trees="companion", punctuation=convention).read(tmp_path / "x.sdp")
        assert instance["metadata"]["is_punctuation"] == expected


def test_other_conventions_are_refused():
    with pytest.raises(ConfigurationError, match="punctuation must be one of ud, ptb, ctb, but is 'atis'"):
        ConlluReader(punctuation="atis")


PARTIAL = "1\ta\ta\tX\tX\t_\t_\t_\t_\t_\n2\tb\tb\tX\tX\t_\t1\tx\t_\t_\n\n1\tc\tc\tX\tX\t_\t_\t_\t_\t_\n"


def test_trees_may_be_partial_where_that_is_asked_for(tmp_path):
    path = tmp_path / "x.conllu"
    path.write_text(PARTIAL)
    first, second = ConlluReader(partial_trees=True).read(path)
    assert (first["tree"].indices, first["tree"].labels) == ([(2, 1)], ["x"])
    assert second["tree"].indices == []
    with pytest.raises(FormatError, match=r"x.conllu, line 1: expected a head, .* found _; .*`partial_trees: true`"):
        list(ConlluReader().read(path))
    path.write_text(PARTIAL.replace("X\t_\t_\t_\t_\t_\n2", "X\t_\t2\t_\t_\t_\n2"))
    with pytest.raises(FormatError, match=r"line 2: .*found a cycle|line 1: .*found a cycle"):
        list(ConlluReader(partial_trees=True).read(path))
