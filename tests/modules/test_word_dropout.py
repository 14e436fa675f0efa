import pytest
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.data import Vocabulary
from allennlp.modules import TextFieldEmbedder
from allennlp.modules.text_field_embedders import BasicTextFieldEmbedder
from allennlp.modules.token_embedders import Embedding, TokenEmbedder

from spigot_allennlp.framework.vocabulary import CountingVocabulary
from spigot_allennlp.modules import TextWordDropout, WordDropout

COUNTS = {"often": 99, "twice": 2, "once": 1}


@pytest.fixture
def vocab():
    return CountingVocabulary(counter={"words": COUNTS}, tokens_to_add={"words": ["vector-only"]})


def build(vocab, alpha=0.25):
    """Embeds every id as itself, so that what comes out is what the tokens became."""
    size = vocab.get_vocab_size("words")
    identity = Embedding(embedding_dim=1, num_embeddings=size, weight=torch.arange(size).float().unsqueeze(1))
    return WordDropout(vocab, identity, alpha=alpha)


def test_counts_are_those_of_the_vocabulary(vocab):
    counts = build(vocab).counts
    for word, count in {**COUNTS, "vector-only": 0}.items():
        assert counts[vocab.get_token_index(word, "words")] == count


@pytest.mark.parametrize("alpha", [0.25, 1.0])
@pytest.mark.parametrize("word", ["often", "twice", "once", "vector-only"])
def test_rate(vocab, word, alpha):
    torch.manual_seed(0)
    index = vocab.get_token_index(word, "words")
    output = build(vocab, alpha)(torch.full((100, 200), index))
    expected = alpha / (alpha + COUNTS.get(word, 0))
    assert (output == 1).float().mean().item() == pytest.approx(expected, abs=0.015)  # over four standard errors
    assert set(output.unique().tolist()) <= {1, index}


def test_padding_is_never_replaced(vocab):
    assert not build(vocab)(torch.zeros(10, 10, dtype=torch.long)).any()


def test_nothing_is_replaced_outside_training_or_with_alpha_zero(vocab):
    tokens = torch.randint(vocab.get_vocab_size("words"), (20, 20))
    for embedder in (build(vocab).eval(), build(vocab, alpha=0)):
        assert torch.equal(embedder(tokens).squeeze(-1).long(), tokens)


@pytest.fixture
def without_counts(vocab):
    """The same words, of unknown frequencies."""
    return Vocabulary(tokens_to_add={"words": [*COUNTS, "vector-only"]})


def test_counts_are_kept_with_the_weights(vocab, without_counts):
    loaded = build(without_counts)
    assert not loaded.counts.any()
    loaded.load_state_dict(build(vocab).state_dict())
    assert torch.equal(loaded.counts, build(vocab).counts)


def test_counts_are_read_with_a_vocabulary(vocab, tmp_path):
    vocab.save_to_files(tmp_path)
    assert torch.equal(build(Vocabulary.from_files(tmp_path)).counts, build(vocab).counts)


class TestExtendedVocabulary:
    """As the framework extends that of a model which is from an archive."""

    @pytest.fixture
    def vocab(self, vocab, tmp_path):
        vocab.save_to_files(tmp_path)
        return Vocabulary.from_files(tmp_path)

    def extend(self, vocab, other):
        embedder = build(vocab)
        vocab.extend_from_vocab(other)
        embedder.extend_vocab(vocab, extension_pretrained_file=None, model_path="embedder")
        return {word: embedder.counts[vocab.get_token_index(word, "words")] for word in (*COUNTS, "vector-only", "new")}

    def test_new_words_have_the_counts_of_their_data(self, vocab):
        counts = self.extend(vocab, CountingVocabulary(counter={"words": {"new": 7, "often": 3}}))
        assert counts == {**COUNTS, "vector-only": 0, "new": 7}

    def test_without_counts_they_occur_once(self, vocab):
        counts = self.extend(vocab, Vocabulary(tokens_to_add={"words": ["new"]}))
        assert counts == {**COUNTS, "vector-only": 0, "new": 1}

    def test_without_new_words_nothing_changes(self, vocab):
        embedder = build(vocab)
        before = embedder.counts.clone()
        embedder.extend_vocab(vocab)
        assert torch.equal(embedder.counts, before)


def test_training_without_frequencies_is_refused(without_counts, vocab):
    build(without_counts).eval()
    build(without_counts, alpha=0).train()
    build(vocab).train()
    with pytest.raises(ConfigurationError, match="needs the frequencies of words"):
        torch.nn.Sequential(build(without_counts)).train()


def test_bad_settings_are_refused(vocab):
    with pytest.raises(ConfigurationError, match="alpha"):
        build(vocab, alpha=-1)
    with pytest.raises(ConfigurationError, match="'some_tags' has no unknown token"):
        vocab.add_token_to_namespace("x", "some_tags")
        WordDropout(vocab, Embedding(embedding_dim=1, num_embeddings=3), namespace="some_tags")


def test_registered_name():
    assert TokenEmbedder.by_name("spigot_word_dropout") is WordDropout


class TestSeveralFeatures:
    @pytest.fixture
    def vocab(self):
        lemmas = [f"{word}-lemma" for word in COUNTS]
        return CountingVocabulary(counter={"words": COUNTS}, tokens_to_add={"lemmas": lemmas, "pos": ["X", "Y"]})

    @staticmethod
    def build(vocab, **settings):
        """Embeds every id as itself, `(batch, length, 3)`: lemmas, pos and words."""
        embedder = BasicTextFieldEmbedder(
            {
                name: Embedding(1, size, weight=torch.arange(size).float().unsqueeze(1))
                for name in ("lemmas", "pos", "words")
                for size in [vocab.get_vocab_size(name)]
            }
        )
        return TextWordDropout(vocab, embedder, **settings)

    @staticmethod
    def text(vocab, words):
        ids = torch.tensor([[vocab.get_token_index(word, "words") if word else 0 for word in words]]).expand(3000, -1)
        return {name: {"tokens": ids.clone()} for name in ("words", "lemmas")} | {
            "pos": {"tokens": 2 * ids.clamp(max=1)}
        }

    def test_a_word_takes_the_others_along(self, vocab):
        torch.manual_seed(0)
        text = self.text(vocab, ["often", "once", ""])
        lemmas, pos, words = self.build(vocab)(text).unbind(dim=2)
        is_dropped = words != text["words"]["tokens"]
        assert is_dropped.any() and torch.equal(is_dropped, (lemmas == 1) & (pos == 1) & (words == 1))
        assert torch.equal(lemmas[~is_dropped], text["lemmas"]["tokens"][~is_dropped].float())
        assert torch.equal(pos[~is_dropped], text["pos"]["tokens"][~is_dropped].float())
        assert is_dropped[:, 1].float().mean().item() == pytest.approx(0.2, abs=0.03)
        assert is_dropped[:, 0].float().mean() < 0.01 and not is_dropped[:, 2].any()

    def test_those_that_are_not_named_stay(self, vocab):
        text = self.text(vocab, ["once"] * 10)
        lemmas, pos, words = self.build(vocab, features=["words", "pos"])(text).unbind(dim=2)
        assert torch.equal(lemmas, text["lemmas"]["tokens"].float()) and torch.equal(pos == 1, words == 1)
        assert (words == 1).any()

    def test_the_text_is_left_as_it_is(self, vocab):
        text = self.text(vocab, ["once"])
        self.build(vocab, alpha=100.0)(text)
        assert (text["words"]["tokens"] == vocab.get_token_index("once", "words")).all()

    def test_nothing_outside_training(self, vocab):
        text = self.text(vocab, ["once", "twice"])
        assert torch.equal(self.build(vocab).eval()(text)[..., 2], text["words"]["tokens"].float())

    def test_the_first_feature_s_counts_decide(self, vocab):
        with pytest.raises(ConfigurationError, match="needs the frequencies of words"):
            self.build(vocab, features=["pos", "words"]).train()

    def test_bad_settings_are_refused(self, vocab):
        with pytest.raises(ConfigurationError, match="to have features, found none"):
            self.build(vocab, features=[])
        with pytest.raises(ConfigurationError, match="no indexer 'pos'"):
            self.build(vocab)({name: ids for name, ids in self.text(vocab, ["once"]).items() if name != "pos"})
        vocab.add_token_to_namespace("x", "some_tags")
        with pytest.raises(ConfigurationError, match="'some_tags' has no unknown token"):
            self.build(vocab, features=["words", "some_tags"])

    def test_registered_name(self):
        assert TextFieldEmbedder.by_name("spigot_word_dropout") is TextWordDropout
