import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import Batch, DatasetReader, Vocabulary
from allennlp.data.data_loaders import MultiProcessDataLoader

from spigot_allennlp.data.dataset_readers import ROOT, TOP, SdpReader
from spigot_allennlp.data.fields import ArcField
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.sdp import format_sdp, read_sdp
from tests import FIXTURES_ROOT

TOY = FIXTURES_ROOT / "toy" / "toy.sdp"
TOY_AUGMENTED = FIXTURES_ROOT / "toy" / "toy_augmented.sdp"
EWT_DEV = FIXTURES_ROOT / "ewt" / "dev.sdp"


def _toy(**kwargs):
    return {instance["metadata"]["sentence_id"]: instance for instance in SdpReader(**kwargs).read(TOY)}


def _arcs(field):
    return {(*indices, label) for indices, label in zip(field.indices, field.labels, strict=True)}


def test_tokens_begin_with_root():
    instance = _toy()["toy-9"]
    tokens = instance["tokens"].tokens
    assert [token.text for token in tokens] == [ROOT, "Mia", "ca", "n't", "swim", "."]
    assert [token.lemma_ for token in tokens] == [ROOT, "Mia", "can", "not", "swim", "_"]
    assert [token.tag_ for token in tokens] == [ROOT, "NNP", "MD", "RB", "VB", "."]
    metadata = dict(instance["metadata"].metadata)
    assert metadata.pop("source") == {"sdp": format_sdp(list(read_sdp(TOY))[8])}
    assert metadata == {
        "tokens": ["Mia", "ca", "n't", "swim", "."],
        "lemmas": ["Mia", "can", "not", "swim", "_"],
        "tags": ["NNP", "MD", "RB", "VB", "."],
        "sentence_id": "toy-9",
    }


def test_graph_is_predicate_by_argument():
    graph = _toy()["toy-4"]["graph"]
    assert isinstance(graph, ArcField)
    assert _arcs(graph) == {
        (0, 3, TOP),
        (3, 2, "ARG1"),
        (3, 7, "ARGM-TMP"),
        (6, 2, "ARG1"),
        (6, 4, "R-ARG1"),
        (6, 5, "ARG0"),
    }


@pytest.mark.parametrize(
    "sentence_id, arcs",
    [("toy-1", {(0, 1, TOP)}), ("toy-2", set()), ("toy-5", {(4, 1, "ARG0"), (4, 5, "ARGM-DIR")})],
    ids=["one word", "no arcs", "no top"],
)
def test_small_graphs(sentence_id, arcs):
    assert _arcs(_toy()[sentence_id]["graph"]) == arcs


def test_several_tops_are_several_arcs():
    assert {(0, 2, TOP), (0, 5, TOP)} <= _arcs(_toy()["toy-7"]["graph"])


def test_trees_are_modifier_by_head():
    tree = _toy(trees="companion")["toy-4"]["tree"]
    assert isinstance(tree, ArcField)
    heads = [2, 3, 0, 6, 6, 2, 3, 3]
    deprels = ["det", "nsubj", "root", "obj", "nsubj", "acl:relcl", "obl", "punct"]
    assert _arcs(tree) == set(zip(range(1, 9), heads, deprels, strict=True))


def test_trees_of_companion_and_augmented_files_are_the_same():
    companion = list(SdpReader(trees="companion").read(TOY))
    augmented = list(SdpReader(trees="augmented").read(TOY_AUGMENTED))
    assert len(companion) == len(augmented) == 10
    for one, other in zip(companion, augmented, strict=True):
        assert one["metadata"].metadata.pop("source").keys() == {"sdp", "conllu"}
        assert other["metadata"].metadata.pop("source").keys() == {"sdp"}
        assert one.fields == other.fields


def test_trees_are_left_out_unless_wanted():
    for path in (TOY, TOY_AUGMENTED):
        for instance in SdpReader().read(path):
            assert set(instance.fields) == {"tokens", "graph", "metadata"}


def test_plain_file_where_augmented_is_wanted():
    with pytest.raises(FormatError, match=r"toy\.sdp, line 1, sentence 'toy-1': expected the augmented variant"):
        list(SdpReader(trees="augmented").read(TOY))


def test_companion_suffix(tmp_path):
    path = tmp_path / "some.thing.sdp"
    path.write_bytes(TOY.read_bytes())
    reader = SdpReader(trees="companion", companion_suffix=".trees.conllu")
    with pytest.raises(FileNotFoundError, match=r"some\.thing\.trees\.conllu"):
        list(reader.read(path))
    (tmp_path / "some.thing.trees.conllu").write_bytes((FIXTURES_ROOT / "toy" / "toy.conllu").read_bytes())
    assert all("tree" in instance.fields for instance in reader.read(path))


def test_companion_that_disagrees(tmp_path):
    path = tmp_path / "toy.sdp"
    path.write_bytes(TOY.read_bytes())
    companion = (FIXTURES_ROOT / "toy" / "toy.conllu").read_text(encoding="utf-8")
    (tmp_path / "toy.conllu").write_text(
        companion.replace("\tmorning\tmorning", "\tevening\tmorning"), encoding="utf-8"
    )
    with pytest.raises(
        FormatError, match=r"toy\.conllu, line \d+, sentence 'toy-2': expected the form 'morning' .* 'evening'"
    ):
        list(SdpReader(trees="companion").read(path))


def test_vocabulary():
    vocab = Vocabulary.from_instances(SdpReader(trees="companion").read(TOY))
    assert set(vocab.get_token_to_index_vocabulary("repeated_graph_labels")) == {"ARGM-TMP", TOP}
    assert {"ARG0", "ARG1", TOP} < set(vocab.get_token_to_index_vocabulary("graph_labels"))
    assert {"root", "nsubj"} < set(vocab.get_token_to_index_vocabulary("head_tags"))
    # Forms and tags have padding and an unknown; labels have neither.
    for namespace in ("words", "lemmas", "pos"):
        words = vocab.get_index_to_token_vocabulary(namespace)
        assert words[0] == vocab._padding_token
        assert words[1] == vocab._oov_token
        assert ROOT in words.values() or ROOT.lower() in words.values()
    for namespace in ("graph_labels", "head_tags"):
        assert vocab._padding_token not in vocab.get_token_to_index_vocabulary(namespace)
    assert "stop" in vocab.get_token_to_index_vocabulary("words")
    assert "Stop" not in vocab.get_token_to_index_vocabulary("words")
    assert "Mia" in vocab.get_token_to_index_vocabulary("lemmas")


def test_batch_of_the_real_slice():
    instances = list(SdpReader(trees="companion").read(EWT_DEV))
    assert len(instances) == 100
    assert sum(not instance["graph"].indices for instance in instances) > 0
    batch = Batch(instances)
    batch.index_instances(Vocabulary.from_instances(instances))
    tensors = batch.as_tensor_dict()
    length = max(len(instance["tokens"]) for instance in instances)
    for name in ("graph", "tree"):
        assert tensors[name].shape == (100, length, length)
        assert tensors[name].dtype == torch.long
    mask = tensors["tokens"]["words"]["tokens"] != 0
    # Every token has one head; ROOT and padding have none.
    heads = (tensors["tree"] >= 0).sum(dim=2)
    assert torch.equal(heads[:, 1:], mask[:, 1:].long())
    assert not heads[:, 0].any()
    # ROOT is no argument.
    assert (tensors["graph"][:, :, 0] == -1).all()
    assert {name: set(indexed) for name, indexed in tensors["tokens"].items()} == {
        "words": {"tokens"},
        "lemmas": {"tokens"},
        "pos": {"tokens"},
    }


def test_text_to_instance_without_gold():
    instance = SdpReader().text_to_instance(["Dogs", "bark"], ["NNS", "VBP"], ["dog", "bark"])
    assert set(instance.fields) == {"tokens", "metadata"}
    assert instance["metadata"]["sentence_id"] is None


def test_text_to_instance_with_gold():
    instance = SdpReader().text_to_instance(
        ["Dogs", "bark"], ["NNS", "VBP"], ["dog", "bark"], [2, 0], ["nsubj", "root"], [(2, 1, "ARG0")], [2], "d1"
    )
    assert _arcs(instance["tree"]) == {(1, 2, "nsubj"), (2, 0, "root")}
    assert _arcs(instance["graph"]) == {(0, 2, TOP), (2, 1, "ARG0")}
    assert instance["metadata"]["sentence_id"] == "d1"


@pytest.mark.parametrize(
    "inputs, error",
    [
        ({"tags": ["NNS"]}, ValueError),
        ({"lemmas": ["dog", "bark", "."]}, ValueError),
        ({"heads": [2, 0]}, ConfigurationError),
        ({"heads": [2], "deprels": ["nsubj"]}, ConfigurationError),
        ({"heads": [2, 3], "deprels": ["nsubj", "root"]}, ConfigurationError),
        ({"arcs": [(3, 1, "ARG0")]}, ConfigurationError),
    ],
)
def test_text_to_instance_refuses_what_does_not_fit(inputs, error):
    sentence = {"tokens": ["Dogs", "bark"], "tags": ["NNS", "VBP"], "lemmas": ["dog", "bark"]}
    with pytest.raises(error):
        SdpReader().text_to_instance(**{**sentence, **inputs})


def test_a_sentence_that_is_too_long_is_named():
    assert len(list(SdpReader(max_tokens_per_sentence=8).read(TOY))) == 10
    with pytest.raises(FormatError, match=r"toy\.sdp, line 19, sentence 'toy-4': expected at most 7 tokens, found 8"):
        list(SdpReader(max_tokens_per_sentence=7).read(TOY))


def test_unknown_trees():
    with pytest.raises(ConfigurationError, match=r"`trees`.*'gold'"):
        SdpReader(trees="gold")


def test_from_params():
    reader = DatasetReader.from_params(
        Params(
            {
                "type": "spigot_sdp",
                "trees": "companion",
                "token_indexers": {"characters": {"type": "characters", "min_padding_length": 3}},
                "max_instances": 3,
            }
        )
    )
    instances = list(reader.read(str(TOY)))
    assert len(instances) == 3
    assert set(instances[0]["tokens"].token_indexers) == {"characters"}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_each_instance_is_loaded_once(num_workers):
    loader = MultiProcessDataLoader(
        SdpReader(trees="companion"), str(EWT_DEV), batch_size=8, num_workers=num_workers, max_instances_in_memory=16
    )
    loader.index_with(Vocabulary.from_instances(SdpReader(trees="companion").read(EWT_DEV)))
    expected = [instance["metadata"]["sentence_id"] for instance in SdpReader().read(EWT_DEV)]
    for _ in range(2):
        loaded = [metadata["sentence_id"] for batch in loader for metadata in batch["metadata"]]
        assert sorted(loaded) == sorted(expected)


def test_instances_are_sent_between_processes_without_indexers():
    instance = next(SdpReader()._read(TOY))
    assert instance["tokens"]._token_indexers is None


def test_frames_are_read_where_they_are_wanted():
    assert all("frames" not in instance.fields for instance in _toy().values())
    instances = _toy(frames=True)
    vocab = Vocabulary.from_instances(instances.values())
    assert set(vocab.get_token_to_index_vocabulary("frame_labels")) == {"@@LEMMA@@.01", "@@LEMMA@@.02"}
    pairs = set(vocab.get_token_to_index_vocabulary("lemma_frame_labels"))
    assert "want\t@@LEMMA@@.01" in pairs and not any(pair.startswith("the\t") for pair in pairs)
    batch = Batch([instances["toy-3"], instances["toy-1"]])
    batch.index_instances(vocab)
    assert batch.as_tensor_dict()["frames"].tolist() == [[-1, -1, 0, -1, 0, -1], [-1, 0, -1, -1, -1, -1]]
    assert "frames" not in SdpReader(frames=True).text_to_instance(["Yes"], ["UH"], ["yes"]).fields
