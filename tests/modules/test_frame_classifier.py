import pytest
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.data import Instance, Token, Vocabulary
from allennlp.data.fields import TextField

from spigot_allennlp.data.fields import FrameField
from spigot_allennlp.modules import FrameClassifier

FRAMES = ["get.01", "get.05", "serve.02"]
LEMMAS = ["get", "get", "service"]


@pytest.fixture
def vocab():
    field = FrameField([*FRAMES, "_"], [*LEMMAS, "the"], TextField([Token("x")] * 4, {}))
    return Vocabulary.from_instances([Instance({"frames": field})])


@pytest.fixture
def classifier(vocab):
    torch.manual_seed(0)
    return FrameClassifier(vocab, input_dim=4)


def label_ids(vocab):
    return {label[-2:]: i for i, label in vocab.get_index_to_token_vocabulary("frame_labels").items()}


def test_a_lemma_has_the_frames_that_it_has_in_training_data(classifier, vocab):
    ids = label_ids(vocab)
    scores = torch.ones(1, 5, 3)
    scores[..., ids["02"]] = 2.0
    restricted = classifier.restrict(scores, [["get", "service", "swim", "the"]])
    possible = restricted > -torch.inf
    assert not possible[0, 0].any()  # ROOT
    assert possible[0, 1].nonzero().flatten().tolist() == sorted([ids["01"], ids["05"]])
    assert possible[0, 2].nonzero().flatten().tolist() == [ids["02"]]
    assert possible[0, 3:].all()  # lemmas that no frame was seen with
    torch.testing.assert_close(restricted[possible], scores[possible])
    scores[..., ids["01"]] = 1.5
    chosen = classifier.choose(classifier.restrict(scores, [["get", "service", "swim", "the"]]))
    assert classifier.read(chosen, [["get", "service", "swim", "the"]]) == [
        ["get.01", "serve.02", "serve.02", "serve.02"]
    ]


def test_without_lemmas_all_frames_are_possible(vocab):
    classifier = FrameClassifier(vocab, input_dim=4, use_lemmas=False)
    scores = torch.randn(2, 3, 3)
    restricted = classifier.restrict(scores, [["get", "service"], ["get"]])
    torch.testing.assert_close(restricted[0, 1:], scores[0, 1:])
    torch.testing.assert_close(restricted[1, 1:2], scores[1, 1:2])
    assert (restricted[:, 0] == -torch.inf).all() and (restricted[1, 2] == -torch.inf).all()


def test_a_token_without_a_score_above_0_has_no_frame(classifier, vocab):
    scores = torch.full((1, 4, 3), -1.0)
    scores[0, 2, label_ids(vocab)["01"]] = 0.5
    chosen = classifier.choose(classifier.restrict(scores, [["get", "swim", "get"]]))
    assert chosen[0, [0, 1, 3]].tolist() == [-1, -1, -1]
    assert classifier.read(chosen, [["get", "swim", "get"]]) == [["_", "swim.01", "_"]]


def test_loss_is_that_of_a_softmax_in_which_no_frame_has_the_score_0(classifier):
    scores = torch.randn(2, 4, 3, dtype=torch.double)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    gold = torch.tensor([[-1, 2, -1, 3], [-1, 0, -1, -1]])  # 3 is none of the labels
    expected = torch.tensor(0.0, dtype=torch.double)
    for sentence, token in ((0, 1), (0, 2), (1, 1)):
        weights = [1.0, *scores[sentence, token].exp().tolist()]
        expected -= torch.tensor(weights[gold[sentence, token] + 1] / sum(weights), dtype=torch.double).log()
    torch.testing.assert_close(classifier.loss(scores, gold, mask), expected)


def test_probabilities_are_those_of_what_is_chosen(classifier):
    lemmas = [["get", "service", "swim"]]
    scores = classifier.restrict(torch.randn(1, 4, 3), lemmas)
    all_choices = torch.stack([classifier.probabilities(scores, torch.full((1, 4), label)) for label in range(-1, 3)])
    torch.testing.assert_close(all_choices.sum(0), torch.ones(1, 4))
    best = classifier.probabilities(scores, classifier.choose(scores))
    torch.testing.assert_close(best, all_choices.amax(0))


def test_frames_in_the_vocabulary_are_demanded():
    with pytest.raises(ConfigurationError, match="no frame_labels: does the reader have `frames: true`"):
        FrameClassifier(Vocabulary(), input_dim=4)


def test_what_a_lemma_may_have_is_no_weight(classifier):
    assert classifier.state_dict().keys() == {"projection.weight", "projection.bias"}
