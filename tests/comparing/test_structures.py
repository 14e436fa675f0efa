import pytest

from spigot_allennlp.comparing.structures import agreement_of_runs, agreement_with_gold, parts_of


def trees(*heads):
    return [parts_of("tree", {"heads": list(one)}) for one in heads]


def test_agreement_of_trees_with_gold_is_the_share_of_tokens_whose_gold_head_is_right():
    predicted, gold = trees([0, 1, 1], [2, 0]), trees([0, 1, 2], [2, None])
    assert agreement_with_gold(predicted, gold, "tree") == pytest.approx(3 / 4)
    assert agreement_with_gold(predicted, [None, None], "tree") is None
    assert agreement_with_gold([*predicted, None], [gold[0], None, gold[1]], "tree") == pytest.approx(2 / 3)


def test_agreement_of_graphs_with_gold_is_labelled_f1():
    predicted = [parts_of("graph", {"arcs": [[2, 1, "A"], [2, 3, "B"]], "tops": [2]})]
    gold = [parts_of("graph", {"arcs": [[2, 1, "A"], [2, 3, "C"]], "tops": []})]
    assert agreement_with_gold(predicted, gold, "graph") == pytest.approx(2 / 5)


def test_runs_agree_in_the_mean_of_their_pairs():
    a, b, c = trees([0, 1]), trees([0, 1]), trees([2, 0])
    assert agreement_of_runs([a, b, c]) == pytest.approx(1 / 3)
    assert agreement_of_runs([a, b], [c, b]) == pytest.approx(1 / 2)
    assert agreement_of_runs([a]) is None
    assert agreement_of_runs([a], [[None]]) is None


def test_both_sentences_of_a_pair_count():
    one = parts_of("tree", {"heads": [0], "hypothesis_heads": [0, 1]})
    assert len(one) == 3
    assert agreement_of_runs([[one]], [[parts_of("tree", {"heads": [0], "hypothesis_heads": [0, 0]})]]) == 2 / 3


def test_selections_and_what_is_not_there():
    assert parts_of("selection", {"selected": [2, 5]}) == {(0, 2), (0, 5)}
    assert parts_of("tree", {"label": "0"}) is None and parts_of("graph", {}) is None
