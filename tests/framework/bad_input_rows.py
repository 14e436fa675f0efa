"""The tables of `test_bad_input.py`: what is wrong, and the parts of the line that tells it, in their order."""

import gzip
import re

from tests import FIXTURES_ROOT

SDP = (FIXTURES_ROOT / "toy" / "toy.sdp").read_bytes()
SENTIMENT_DATA = (FIXTURES_ROOT / "sentiment" / "dev.txt").read_bytes()
LINE = b'{"tokens": ["a"], "tags": ["b"], "lemmas": ["c"]}\n'
CONLLU = (FIXTURES_ROOT / "toy" / "toy.conllu").read_bytes()

DATA = {
    "not there": (None, "file … /train.sdp not found"),
    "a folder": ("folder", "expected a file of data, found the folder … /train.sdp"),
    "empty": (b"", "train.sdp, line 1: expected at least one sentence, found an empty file"),
    "Latin-1": (SDP.replace(b"Mia", b"Mi\xe4"), "line 58, sentence 'toy-9': expected UTF-8, found the byte 0xe4"),
    "UTF-16": (SDP.decode().encode("utf-16"), "train.sdp, line 1: expected UTF-8, found the byte 0xff"),
    "compressed": (gzip.compress(SDP), "train.sdp, line 1: expected UTF-8, found the byte 0x8b"),
    "binary": (bytes(range(256)), "train.sdp, line 1: expected a value in column 2, found nothing"),
    "a table": (b"id,form\n1,Anna\n\n", "train.sdp, line 1: expected at least 7 columns, found 1"),
    "CoNLL-U": (CONLLU, "train.sdp, line 4, sentence … expected + or - in column 5 (top), found 'VB'"),
    "a column too few": (
        SDP.replace(b"\tARG0\n", b"\n", 1),
        "expected 9 columns, 7 and one for each of the 2 predicates",
    ),
    "an id twice": (SDP + SDP, "sentence 'toy-1': expected a new sentence id, found the one of line 1"),
    "other trees": (
        SDP.replace(b"\tMia\t", b"\tMaya\t"),
        "train.conllu, line … 'toy-9': expected the form 'Maya' at position 1",
    ),
    "more sentences than trees": (SDP + b"\n#z\n1\tGo\tgo\tVB\t-\t-\t_\n", "line … 'z': expected the same number of"),
}

COMPANIONS = {
    "not there": (None, "expected the trees of … in … /train.conllu … found no such file; set dataset_reader.trees to"),
    "Latin-1": (CONLLU.replace(b"Mia", b"Mi\xe4"), "train.conllu, line … expected UTF-8, found the byte 0xe4"),
    "a cycle": (CONLLU.replace(b"\t0\troot", b"\t2\troot"), "train.conllu, line … expected"),
    "no heads": (re.sub(rb"\t\d+\t(\w[\w:]*\t_\t)", rb"\t_\t\1", CONLLU), "expected a tree, found no heads"),
    "SDP": (SDP, "train.conllu, line … expected 10 columns, found 8"),
}

VECTORS = {
    "not there": (None, "file … /glove.txt.gz not found"),
    "a folder": ("folder", "Is a directory: … glove.txt.gz"),
    "truncated": (gzip.compress(b"the 1 1 1 1\n" * 99)[:-9], "glove.txt.gz: expected a text file of word vectors"),
    "binary": (gzip.compress(bytes(range(256))), "glove.txt.gz: expected a text file of word vectors"),
    "empty": (gzip.compress(b""), "glove.txt.gz: expected a text file of word vectors"),
    "decimal commas": (
        gzip.compress(b"2 4\nof 1 1 1 1\nthe 1,0 1 1 1\n"),
        "gz, line 3: expected numbers … found '1,0'",
    ),
    "not a number": (
        gzip.compress(b"x y 1 1 1 1\nof 1 1 1 1\nthe 1 1 1 nan\n"),
        "gz, line 3: expected numbers … found 'nan'",
    ),
    "of another width": (gzip.compress(b"the 1 1\n"), "glove.txt.gz: No embeddings of correct dimension found"),
}

PIPELINE, PARSER = "syntactic_then_semantic.jsonnet", "semantic_parser.jsonnet"
TREES, SENTIMENT = "dependency_parser.jsonnet", "semantic_then_sentiment.jsonnet"
FILES = {"type": "from_files"}
SETTINGS = [
    (PIPELINE, {"dataset_reader.type": "spigot_spd"}, "spigot_spd not in acceptable choices for dataset_reader.type"),
    (PIPELINE, {"dataset_reader.trees": "beside"}, "Expected `trees` to be 'none', 'augmented' or 'companion', found"),
    (
        PIPELINE,
        {"dataset_reader.trees": "augmented"},
        "toy.sdp, line 1, sentence 'toy-1': expected the augmented variant",
    ),
    (PIPELINE, {"dataset_reader.tree": "none"}, "unexpected keyword argument 'tree'"),
    (PIPELINE, {"dataset_reader.max_tokens_per_sentence": 3}, "'toy-2': expected at most 3 tokens, found 5"),
    (PIPELINE, {"dataset_reader.max_tokens_per_sentence": -1}, "max_tokens_per_sentence must be at least 1, but is -1"),
    (PIPELINE, {"dataset_reader.max_tokens_per_sentence": "3"}, "Expected max_tokens_per_sentence to be a int"),
    (TREES, {"train_data_path": "fixtures/toy/toy.sdp"}, "toy.sdp, line 3: expected 10 columns, found 8"),
    (PIPELINE, {"model.type": "spigot"}, "spigot not in acceptable choices for model.type"),
    (PIPELINE, {"model.colour": 1}, "unexpected keyword argument 'colour'"),
    (PIPELINE, {"colour": 1}, "Extra parameters passed to TrainModel: {'colour': 1}"),
    (PIPELINE, {"model.intermediat.type": "spigot"}, "overrides dict contains unused keys: ['model.intermediat.type']"),
    (PIPELINE, {"model.intermediate.type": "spiggot"}, "spiggot not in acceptable choices for model.intermediate.type"),
    (
        PIPELINE,
        {"model.intermediate.polytope": "cube"},
        "polytope must be one of local, exact, but is 'cube'",
    ),
    (PIPELINE, {"model.intermediate.structure.type": "tree"}, "tree not in acceptable choices for model.intermediate"),
    (
        PIPELINE,
        {"model.intermediate.structure": {"type": "semantic_graph"}},
        "needs a structure of heads, but has a Sem",
    ),
    (TREES, {"model.structure": {"type": "k_subset", "k": 2}}, "needs a structure of heads, but has a KSubset"),
    (PIPELINE, {"model.intermediate.step_size": -1}, "step_size must be a positive number, but is -1"),
    (PIPELINE, {"model.intermediate.step_size": None}, "step_size must be a positive number, but is None"),
    (
        PIPELINE,
        {"model.intermediate.step_size": "big"},
        "big not in acceptable choices for … Expected step_size to be nu",
    ),
    (
        PIPELINE,
        {"model.intermediate.step_size": {"type": "cyclic"}},
        "cyclic not in acceptable choices for model.inter",
    ),
    (PIPELINE, {"model.intermediate.max_gradient_norm": -1}, "max_gradient_norm must be a positive number, but is -1"),
    (PIPELINE, {"model.intermediate.max_gradient_norm": "1"}, "Expected max_gradient_norm to be numeric"),
    (PIPELINE, {"model.syntactic_loss_weight": -1}, "syntactic_loss_weight must be a number that is not negative"),
    (
        PIPELINE,
        {"model.syntactic_parser.loss.type": "square"},
        "square not in acceptable choices for model.syntactic_par",
    ),
    (PIPELINE, {"model.syntactic_parser.encoder.input_size": 7}, "the embedder gives 9 dimensions to an encoder whose"),
    (PIPELINE, {"model.semantic_parser.encoder.input_size": 7}, "the embedder gives 9 dimensions to an encoder whose"),
    (PIPELINE, {"model.syntactic_parser.encoder.hidden_size": -7}, "LSTM: hidden_size must be greater than zero"),
    (
        PIPELINE,
        {"model.semantic_parser.dropout": 2},
        "Dropout: dropout probability has to be between 0 and 1, but got 2",
    ),
    (PARSER, {"model.loss": {"type": "tree_crf"}}, "tree_crf not in acceptable choices for model.loss.type"),
    (
        PARSER,
        {"model.loss": {"type": "hinge", "false_positive": -1}},
        "false_positive must be a number that is not nega",
    ),
    (PARSER, {"vocabulary": FILES}, 'key "directory" is required at location "vocabulary."'),
    (PARSER, {"vocabulary": {**FILES, "directory": "/nowhere"}}, "file /nowhere not found"),
    (
        PARSER,
        {"train_data_path": "fixtures/toy/toy.conllu"},
        "toy.conllu, line 4, sentence … expected + or - in column 5",
    ),
    (PARSER, {"data_loader.batch_size": 0}, "batch_size must be at least 1"),
    (
        PARSER,
        {"data_loader": {"batch_sampler": {"type": "spigot_max_tokens", "max_tokens": -1}}},
        "max_tokens must be at least 1, but is -1",
    ),
    (PARSER, {"trainer.validation_metric": "labelled_f1"}, "metric_name must start with + or -"),
    (PARSER, {"trainer.optimizer.type": "adamm"}, "adamm not in acceptable choices for trainer.optimizer.type"),
    (PARSER, {"trainer.optimizer.lr": -1}, "AdamWOptimizer: Invalid learning rate: -1"),
    (PARSER, {"distributed": {"cuda_devices": [-1]}}, "Multiple cuda devices/nodes need to be configured"),
    (
        SENTIMENT,
        {"dataset_reader.readers.sentiment.granularity": "3-class"},
        "Expected `granularity` to be '2-class' or",
    ),
    (
        SENTIMENT,
        {"data_loader.scheduler.fractions": {"graphs": 0}},
        "the fraction of 'graphs' must be a positive number, but is 0",
    ),
    (
        SENTIMENT,
        {"train_data_path": {"sentiment": "x"}},
        'expected a path for each task, {"graphs": "…", "sentiment": "…"}',
    ),
    (SENTIMENT, {"model.pruning_threshold": -1}, "pruning_threshold must be a number that is not negative, but is -1"),
]
# What only a training that has begun tells, which leaves its directory.
LATE_SETTINGS = [
    (PARSER, {"trainer.validation_metric": "+f1"}, "the f1 metric … but the model did not produce that metric"),
    (
        SENTIMENT,
        {"data_loader.scheduler.fractions": {"trees": 1}},
        "fractions of ['trees']: there are only ['graphs', 's",
    ),
]

ARCHIVES = {
    "not there": (None, "model.tar.gz not found"),
    "a folder": ("folder", "model.tar.gz/config.json not found"),
    "empty": (b"", "model.tar.gz … empty file"),
    "no archive": (b"no archive", "model.tar.gz … not a gzip file"),
    "truncated": ("truncated", "model.tar.gz … Compressed file ended before"),
    "without config": ("config.json", "model.tar.gz: file … config.json not found"),
    "without vocabulary": ("vocabulary", "model.tar.gz: file … vocabulary not found"),
    "without weights": ("weights.th", "model.tar.gz: expected the weights … best.th"),
    "half its weights": (
        ("weights.th", lambda content: content[:1000]),
        "model.tar.gz: expected the weights of the model",
    ),
    "a new label": (
        ("vocabulary/graph_labels.txt", lambda content: content + b"NEW\n"),
        "model.tar.gz: expected the weights … size mismatch for semantic_parser.label_scorer",
    ),
}
COMMANDS = {
    "predict": ["predict", "{archive}", "{folder}/input.jsonl"],
    "evaluate": ["evaluate", "{archive}", "fixtures/toy/toy.sdp"],
    "draw": [
        "spigot-draw",
        "--archive-path",
        "{archive}",
        "--input-file",
        "fixtures/toy/toy.sdp",
        "--output",
        "{folder}/a.html",
    ],
    "serve": ["spigot-serve", "--archive-path", "{archive}", "--port", "0", "--num-workers", "1"],
    "pretrained": [
        "train",
        "fixtures/dependency_parser.jsonnet",
        "-s",
        "{folder}/output",
        "-o",
        '{"model.pretrained_file": "{archive}"}',
    ],
}

SENTIMENTS = [
    (b"", "sentiment.txt, line 1: expected at least one sentence, found an empty file"),
    (bytes(range(256)), "sentiment.txt, line 1: expected a label, a tab and a sentence"),
    (b"It works.\n", "sentiment.txt, line 1: expected '# instance' and rows of tokens, a bracketed tree"),
    (b"(3 (2 It) (3 works)\n", "sentiment.txt, line 1: expected one bracketed tree"),
    (b"(9 (2 It) (3 works))\n", "sentiment.txt, line 1: expected a label from 0 to 4"),
    (b"(2 (2 It) (2 works))\n", "sentiment.txt: expected a sentence that is not neutral, found none"),
    (b"# instance 1\n1\tIt\tit\tPRP\n", "sentiment.txt, line 2, sentence '1': expected 5 columns"),
    (
        b"# instance 1\n1\tIt\tit\tPRP\t1\n",
        "dev.txt, line … expected a label that the training data has, '1', found",
    ),
]

CONFIGS = [
    (None, "file … config.jsonnet not found"),
    (b"", "config.jsonnet:1:1: unexpected end of file"),
    (b"{ model: {", "config.jsonnet:1:11: unexpected: end of file"),
    (bytes(range(256)), "config.jsonnet:1:1: unexpected end of file"),
    (b"(import 'base.libsonnet') + {}", "config.jsonnet:1:2-25: couldn't open import"),
]

LINES = [
    (None, "file … input.jsonl not found"),
    ("folder", "Is a directory: … input.jsonl"),
    (LINE + b"\n" + LINE.replace(b"c", b"\xe4"), "input.jsonl, line 3: expected UTF-8, found the byte 0xe4"),
    (LINE + b"\n{\n", "line 2 of the input, not counting empty ones: expected a JSON object"),
    (LINE + b"{}\n", "line 2 of the input, not counting empty ones: expected one of 'sentence', 'text'"),
]

OPTIONS = [
    (["--predictor", "parser"], "'parser' is not a registered name for 'Predictor'"),
    (["--predictor-args", "{a"], "expected JSON, found '{a'"),
    (["--predictor-args", '{"format": "sdp"}'], "unexpected keyword argument 'format'"),
    (["--predictor-args", '{"output_format": "xml"}'], "output_format must be one of json, sdp, conllu"),
    (["--predictor-args", '{"max_tokens_per_batch": 0}'], "max_tokens must be at least 1, but is 0"),
    (["--weights-file", "/nowhere.th"], "expected the weights … '/nowhere.th'"),
    (["--use-dataset-reader"], "input.jsonl, line 1: expected at least 7 columns, found 1"),
]

EVALUATE_OPTIONS = [
    (["--cuda-device", "99"], "expected --cuda-device to be one of the … GPUs that PyTorch finds, or -1, found 99"),
    (["--predictions-output-file", "nowhere/x.jsonl"], "No such file or directory: 'nowhere/x.jsonl'"),
    (["--output-file", "/dev/full"], "/dev/full: No space left on device"),
]

EVALUATED = [
    ("/nowhere.sdp", "file /nowhere.sdp not found"),
    ("fixtures/toy/toy_augmented.sdp", "expected the trees of … in … set dataset_reader.trees to 'augmented'"),
    ("fixtures/toy/toy.conllu", "toy.conllu, line 4, sentence … expected + or - in column 5"),
]
