import pytest
from allennlp.common import Params
from allennlp.data import Instance, Token, Vocabulary
from allennlp.data.fields import LabelField, TextField
from allennlp.data.token_indexers import SingleIdTokenIndexer

from spigot_allennlp.framework.bad_input import explain
from spigot_allennlp.framework.vocabulary import CountingVocabulary, token_counts

COUNTS = {"words": {"often": 9, "once": 1, "two words": 2, "1 2": 3}}


def instances(*texts: str) -> list[Instance]:
    indexers = {"tokens": SingleIdTokenIndexer()}
    texts = [TextField(list(map(Token, text.split())), indexers) for text in texts]
    return [Instance({"tokens": text, "label": LabelField("a label")}) for text in texts]


def from_files(folder) -> Vocabulary:
    """As the workers of a distributed training, and a recovered one, get it: not by our class."""
    vocab = Vocabulary.from_params(Params({"type": "from_files", "directory": str(folder)}))
    assert type(vocab) is Vocabulary
    return vocab


class TestCounts:
    def test_they_are_saved(self, tmp_path):
        vocab = CountingVocabulary(counter=COUNTS)
        assert token_counts(vocab, "words") == COUNTS["words"]
        vocab.save_to_files(tmp_path)
        read = from_files(tmp_path)
        assert not read._retained_counter and token_counts(read, "words") == COUNTS["words"]
        # And the tokens have the ids that they would have without.
        plain = Vocabulary(counter=COUNTS)
        for other in (vocab, read):
            assert other.get_token_to_index_vocabulary("words") == plain.get_token_to_index_vocabulary("words")

    def test_they_are_saved_again(self, tmp_path):
        """The framework reads the vocabulary of an archive, and writes it where that starts a training."""
        CountingVocabulary(counter=COUNTS).save_to_files(tmp_path / "first")
        from_files(tmp_path / "first").save_to_files(tmp_path / "second")
        assert token_counts(from_files(tmp_path / "second"), "words") == COUNTS["words"]

    def test_from_a_config(self, tmp_path):
        vocab = Vocabulary.from_params(Params({"type": "spigot"}), instances=instances("a b a", "a"))
        vocab.save_to_files(tmp_path)
        assert token_counts(from_files(tmp_path), "tokens") == {"a": 3, "b": 1}
        assert "labels_spigot_counts" not in vocab.get_namespaces()  # which has no unknown token

    def test_only_of_tokens_that_are_known(self):
        vocab = CountingVocabulary(counter=COUNTS, min_count={"words": 2})
        vocab._retained_counter = None
        assert token_counts(vocab, "words") == {"often": 9, "two words": 2, "1 2": 3}

    def test_of_a_vocabulary_of_the_frameworks(self, tmp_path):
        vocab = Vocabulary(counter=COUNTS)
        assert token_counts(vocab, "words") == COUNTS["words"]
        assert token_counts(vocab, "lemmas") == {}
        vocab.save_to_files(tmp_path)
        assert token_counts(from_files(tmp_path), "words") == {}

    def test_those_of_new_data_take_their_place(self, tmp_path):
        CountingVocabulary(counter={"tokens": {"often": 9}, "lemmas": {"a": 1}}).save_to_files(tmp_path / "old")
        params = {"type": "spigot_extend", "directory": str(tmp_path / "old")}
        extended = Vocabulary.from_params(Params(params), instances=instances("new new often"))
        extended.save_to_files(tmp_path / "new")
        for vocab in (extended, from_files(tmp_path / "new")):
            assert token_counts(vocab, "tokens") == {"new": 2, "often": 1}
            assert token_counts(vocab, "lemmas") == {}
            assert vocab.get_token_to_index_vocabulary("tokens")["often"] == 2

    def test_the_framework_can_extend_it(self, tmp_path):
        CountingVocabulary(counter={"tokens": {"often": 9}}).save_to_files(tmp_path)
        params = {"type": "extend", "directory": str(tmp_path)}
        extended = Vocabulary.from_params(Params(params), instances=instances("new new often"))
        assert token_counts(extended, "tokens") == {"new": 2, "often": 1}


class TestVectors:
    @pytest.mark.parametrize("name", ["nowhere.txt", "empty.txt", "latin.txt"])
    def test_a_bad_file_is_named(self, tmp_path, name):
        (tmp_path / "empty.txt").touch()
        (tmp_path / "latin.txt").write_bytes("Köln 1 2\n".encode("latin-1"))
        with pytest.raises((OSError, StopIteration, UnicodeDecodeError)) as caught:
            CountingVocabulary(counter=COUNTS, pretrained_files={"words": str(tmp_path / name)})
        assert str(tmp_path / name) in explain(caught.value)

    def test_a_bug_is_none_of_bad_input(self):
        with pytest.raises(ValueError) as caught:
            CountingVocabulary(counter={"words": {1: 1}})
        assert explain(caught.value) is None

    def test_words_that_have_a_vector_and_do_not_occur_have_no_count(self, tmp_path):
        (tmp_path / "vectors.txt").write_text("often 1 2\nunseen 1 2\n")
        vocab = CountingVocabulary(
            counter=COUNTS,
            pretrained_files={"words": str(tmp_path / "vectors.txt")},
            min_pretrained_embeddings={"words": -1},
        )
        assert "unseen" in vocab.get_token_to_index_vocabulary("words")
        assert token_counts(vocab, "words") == COUNTS["words"]
