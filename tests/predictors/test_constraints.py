"""Trees of which something is known before they are predicted."""

import pytest
from allennlp.data.dataset_readers import DatasetReader
from allennlp.models import load_archive

from spigot_allennlp.data.dataset_readers import ConlluReader
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.predictors import ParserPredictor

TOKENS = ["Anna", "wants", "to", "sing"]
SENTENCE = {"tokens": TOKENS, "tags": ["NNP", "VBZ", "TO", "VB"], "lemmas": ["Anna", "want", "to", "sing"]}


@pytest.fixture(scope="module")
def predictor(parser_archive):
    archive = load_archive(parser_archive)
    return ParserPredictor(archive.model, archive.validation_dataset_reader, scores=True)


@pytest.mark.parametrize("heads", [[2, 0, 4, 2], [4, 1, 2, 0], [0, 1, 2, 3]])
def test_given_heads_are_kept(predictor, heads):
    free, partly, whole = predictor.predict_batch_json(
        [SENTENCE, {**SENTENCE, "heads": [heads[0], None, None, heads[3]]}, {**SENTENCE, "heads": heads}]
    )
    assert whole["heads"] == heads and whole["tree_probability"] == 1
    assert (partly["heads"][0], partly["heads"][3]) == (heads[0], heads[3]) and partly["heads"].count(0) == 1
    assert partly["head_probabilities"][0] == 1
    # The sentences beside them are as they are alone.
    assert free == predictor.predict_json(SENTENCE)


def test_forbidden_arcs_are_avoided_and_the_tree_is_the_best_without_them(predictor):
    best = predictor.predict_json(SENTENCE)["heads"]
    output = predictor.predict_json({**SENTENCE, "forbidden_arcs": [[1, best[0]]]})
    assert output["heads"][0] != best[0]
    alternatives = ParserPredictor(predictor._model, predictor._dataset_reader, top_k=125).predict_json(SENTENCE)
    expected = next(tree for tree in alternatives["tree_alternatives"] if tree["heads"][0] != best[0])
    assert output["heads"] == expected["heads"]


@pytest.mark.parametrize(
    "constraints, message",
    [
        ({"heads": [0, 1]}, "'heads' must be a list of 4 positions or null, found"),
        ({"heads": [0, 1, True, None]}, "'heads' must be a list"),
        ({"heads": "0"}, "'heads' must be a list"),
        ({"heads": [5, None, None, None]}, "'heads' at token 1: expected a head from 0 to 4, found 5"),
        ({"heads": [2, 1, None, None]}, "'heads' at token .: .* found a cycle"),
        ({"forbidden_arcs": [[1]]}, r"'forbidden_arcs' must be a list of \[modifier, head\]"),
        ({"forbidden_arcs": [[0, 1]]}, "'forbidden_arcs' must be a list"),
        (
            {"heads": [2, None, None, None], "forbidden_arcs": [[1, 2]]},
            r"must not have an arc of 'heads', found \[1, 2\]",
        ),
        ({"heads": [0, 0, None, None]}, "leave a nonprojective_tree with a single root, found none"),
        ({"forbidden_arcs": [[1, head] for head in (0, 2, 3, 4)]}, "leave a nonprojective_tree .*, found none"),
    ],
)
def test_what_leaves_no_tree_is_refused(predictor, constraints, message):
    with pytest.raises(ValueError, match=message):
        predictor.predict_json({**SENTENCE, **constraints})


def test_a_model_without_a_tree_knows_no_heads(predictor):
    parser = ParserPredictor(predictor._model.semantic_parser, predictor._dataset_reader)
    with pytest.raises(ValueError, match="are for a model that predicts a tree"):
        parser.predict_json({**SENTENCE, "heads": [2, 0, 4, 2]})


@pytest.fixture
def read(tmp_path, predictor):
    def read(heads):
        rows = [
            f"{i}\t{w}\t{w}\t_\tNN\t_\t{h}\tx\t_\t_\n" for i, (w, h) in enumerate(zip(TOKENS, heads, strict=True), 1)
        ]
        (tmp_path / "x.conllu").write_text("# sent_id = s\n" + "".join(rows))
        reader = ConlluReader(partial_trees=True, token_indexers=predictor._dataset_reader._token_indexers)
        assert isinstance(reader, DatasetReader)
        return list(reader.read(tmp_path / "x.conllu"))

    return read


def test_partial_trees_of_a_file_are_completed(predictor, read):
    free = predictor.predict_instance(*read("____"))["heads"]
    # Complete trees are gold, and are compared with what is predicted.
    assert predictor.predict_instance(*read("4120"))["heads"] == free
    completed = [predictor.predict_instance(*read(heads))["heads"] for heads in ("4___", "3_4_", "_0__")]
    assert [completed[0][0], completed[1][0], completed[1][2], completed[2][1]] == [4, 3, 4, 0]
    with pytest.raises(FormatError, match="sentence 's': expected heads and forbidden arcs that leave a"):
        predictor.predict_instance(*read("00__"))


def test_what_is_completed_can_be_written(predictor, read):
    for output_format in ("conllu", "sdp", "mrp"):
        writing = ParserPredictor(predictor._model, predictor._dataset_reader, output_format=output_format)
        output = writing.predict_instance(*read("3_4_"))
        written = writing.dump_line(output)
        if output_format == "conllu":
            assert [line.split("\t")[6] for line in written.splitlines() if line[:1].isdigit()] == list(
                map(str, output["heads"])
            )
        assert "wants" in written
