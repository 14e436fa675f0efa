import pickle

import pytest
import torch
from allennlp.common.checks import ConfigurationError
from allennlp.data import Batch, Instance, Token, Vocabulary
from allennlp.data.fields import ListField, TextField

from spigot_allennlp.data.fields import ArcField, ForbiddenArcs, FrameField, KnownLabelField, LatentClassField
from spigot_allennlp.data.format_error import FormatError


def _field(arcs, length=4, **kwargs):
    tokens = TextField([Token(str(position)) for position in range(length)], {})
    indices = [(row, column) for row, column, _ in arcs]
    return ArcField(indices, tokens, [label for _, _, label in arcs], label_namespace="arc_labels", **kwargs)


def _vocab(*fields):
    return Vocabulary.from_instances(Instance({"arcs": field}) for field in fields)


def test_tensor_has_label_ids_where_there_are_arcs():
    field = _field([(0, 1, "a"), (2, 1, "b"), (1, 3, "b")])
    vocab = _vocab(field)
    a, b = (vocab.get_token_index(label, "arc_labels") for label in "ab")
    field.index(vocab)
    tensor = field.as_tensor({"num_tokens": 5})
    assert tensor.dtype == torch.long
    assert tensor.tolist() == [
        [-1, a, -1, -1, -1],
        [-1, -1, -1, b, -1],
        [-1, b, -1, -1, -1],
        [-1, -1, -1, -1, -1],
        [-1, -1, -1, -1, -1],
    ]


def test_no_arcs_is_a_tensor_of_padding():
    field = _field([], length=2)
    field.index(_vocab(_field([(0, 1, "a")])))
    tensor = field.as_tensor(field.get_padding_lengths())
    assert tensor.dtype == torch.long
    assert tensor.tolist() == [[-1, -1], [-1, -1]]


def test_padding_value():
    field = _field([(0, 1, "a")], length=2, padding_value=-9)
    field.index(_vocab(field))
    assert field.as_tensor({"num_tokens": 2}).tolist() == [[-9, 0], [-9, -9]]


def test_unknown_label_gets_the_id_past_the_last():
    vocab = _vocab(_field([(0, 1, "a"), (2, 1, "b")]))
    field = _field([(0, 1, "unseen"), (2, 1, "b"), (1, 2, "unheard")])
    field.index(vocab)
    tensor = field.as_tensor({"num_tokens": 4})
    assert vocab.get_vocab_size("arc_labels") == 2
    assert (tensor[0, 1], tensor[1, 2]) == (2, 2)
    assert tensor[2, 1] == vocab.get_token_index("b", "arc_labels")


def test_unknown_label_where_no_label_is_known():
    field = _field([(0, 1, "a")], length=2)
    field.index(Vocabulary())
    assert field.as_tensor({"num_tokens": 2}).tolist() == [[-1, 0], [-1, -1]]


def test_labels_repeated_in_a_row_are_recorded():
    vocab = _vocab(
        _field(
            [
                *[(1, 0, "thrice"), (1, 2, "thrice"), (1, 3, "thrice")],
                # The same label in one column, and in two rows, is no repetition.
                *[(0, 1, "column"), (2, 1, "column")],
                (3, 0, "once"),
            ],
            repeated_namespace="repeated_labels",
        ),
        _field([(0, 1, "once")], repeated_namespace="repeated_labels"),
    )
    assert set(vocab.get_token_to_index_vocabulary("repeated_labels")) == {"thrice"}
    assert set(vocab.get_token_to_index_vocabulary("arc_labels")) == {"thrice", "column", "once"}


def test_a_row_counts_once_for_each_label_it_repeats():
    counter = {"arc_labels": {"a": 0, "b": 0}, "repeated_labels": {"a": 0, "b": 0}}
    arcs = [(1, 0, "a"), (1, 2, "a"), (1, 3, "a"), (2, 0, "a"), (2, 1, "a"), (2, 3, "b")]
    _field(arcs, repeated_namespace="repeated_labels").count_vocab_items(counter)
    assert counter == {"arc_labels": {"a": 5, "b": 1}, "repeated_labels": {"a": 2, "b": 0}}


def test_nothing_is_recorded_without_a_namespace():
    counter = {"arc_labels": {"a": 0}}
    _field([(1, 0, "a"), (1, 2, "a")]).count_vocab_items(counter)
    assert counter == {"arc_labels": {"a": 2}}


def test_nothing_is_counted_once_labels_have_ids():
    field = _field([(1, 0, "a"), (1, 2, "a")], repeated_namespace="repeated_labels")
    field.index(_vocab(field))
    counter = {"arc_labels": {"a": 0}, "repeated_labels": {"a": 0}}
    field.count_vocab_items(counter)
    assert counter == {"arc_labels": {"a": 0}, "repeated_labels": {"a": 0}}


def test_vocabulary_keeps_the_record_on_disk(tmp_path):
    vocab = _vocab(_field([(1, 0, "a"), (1, 2, "a")], repeated_namespace="repeated_labels"))
    vocab.save_to_files(str(tmp_path))
    assert Vocabulary.from_files(str(tmp_path)).get_token_to_index_vocabulary("repeated_labels") == {"a": 0}


def test_batch_is_padded():
    instances = [Instance({"arcs": _field([(0, 1, "a")], length=length)}) for length in (2, 3)]
    batch = Batch(instances)
    batch.index_instances(Vocabulary.from_instances(instances))
    tensor = batch.as_tensor_dict()["arcs"]
    assert tensor.dtype == torch.long
    assert tensor.tolist() == [
        [[-1, 0, -1], [-1, -1, -1], [-1, -1, -1]],
        [[-1, 0, -1], [-1, -1, -1], [-1, -1, -1]],
    ]


def test_empty_field_pads_a_list():
    field = _field([(0, 1, "a")], length=2, repeated_namespace="repeated_labels", padding_value=-9)
    empty = field.empty_field()
    assert isinstance(empty, ArcField)
    assert len(empty) == 0
    lists = ListField([field])
    lists.index(_vocab(field))
    tensor = lists.as_tensor({**lists.get_padding_lengths(), "num_fields": 2})
    assert tensor.tolist() == [[[-9, 0], [-9, -9]], [[-9, -9], [-9, -9]]]


def test_copies_are_equal_and_changes_are_seen():
    field = _field([(0, 1, "a")], repeated_namespace="repeated_labels")
    assert field.duplicate() == field
    assert pickle.loads(pickle.dumps(field)) == field
    assert _field([(0, 1, "a")]) != field
    assert _field([(0, 2, "a")], repeated_namespace="repeated_labels") != field


@pytest.mark.parametrize(
    "arcs, message", [([(0, 4, "a")], "incompatible"), ([(0, 1, "a"), (0, 1, "b")], "must be unique")]
)
def test_arcs_that_fit_no_matrix_are_refused(arcs, message):
    with pytest.raises(ConfigurationError, match=message):
        _field(arcs)


def test_a_label_that_the_vocabulary_does_not_know_is_named():
    vocab = Vocabulary.from_instances(Instance({"label": KnownLabelField(label)}) for label in ("0", "1"))
    known = KnownLabelField("1", "dev.txt", 3)
    known.index(vocab)
    assert known.as_tensor({}).item() == vocab.get_token_index("1", "labels")
    with pytest.raises(FormatError, match=r"^dev\.txt, line 3, sentence '7': expected a label that .* found '2'$"):
        KnownLabelField("2", "dev.txt", 3, "7").index(vocab)


def test_a_latent_class_that_the_vocabulary_does_not_know_is_another_one():
    vocab = Vocabulary.from_instances(Instance({"latent_class": LatentClassField(name)}) for name in ("a", "b"))
    ids = {}
    for name in ("a", "b", "c", "d"):
        field = LatentClassField(name)
        field.index(vocab)
        ids[name] = field.as_tensor({}).item()
    assert {ids["a"], ids["b"]} == {0, 1} and ids["c"] == ids["d"] == 2


def test_forbidden_arcs():
    field = ForbiddenArcs(3, [None, 0, 2], [(1, 3)])
    tensor = field.as_tensor(field.get_padding_lengths())
    assert tensor.dtype == torch.bool
    allowed = {(m, h) for m, h in (~tensor).nonzero().tolist()}
    assert allowed == {(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (2, 0), (3, 2)}
    small = ForbiddenArcs(1)
    padded = small.as_tensor(field.get_padding_lengths())
    assert padded.shape == tensor.shape and not padded.any() and padded.dtype == torch.bool


def _frames(frames, lemmas):
    tokens = TextField([Token(lemma) for lemma in lemmas], {})
    return FrameField(frames, lemmas, tokens)


def test_frames_are_label_ids_and_what_training_data_lacks_is_one_past_the_last():
    seen = _frames(["_", "v:e-i", "get.05", "get.05"], ["the", "v", "get", "get"])
    vocab = Vocabulary.from_instances([Instance({"frames": seen})])
    number, kind = (vocab.get_token_index(label, "frame_labels") for label in ("@@LEMMA@@.05", "v:e-i"))
    assert sorted([number, kind]) == [0, 1]
    assert set(vocab.get_token_to_index_vocabulary("lemma_frame_labels")) == {"v\tv:e-i", "get\t@@LEMMA@@.05"}
    field = _frames(["swim.05", "swim.06", "_", "v:e-i"], ["swim", "swim", "v", "get"])
    field.index(vocab)
    tensor = field.as_tensor({"num_tokens": 6})
    assert tensor.dtype == torch.long
    assert tensor.tolist() == [number, 2, -1, kind, -1, -1]


def test_empty_frames_pad_a_list():
    field = ListField([_frames(["get.05"], ["get"]), _frames([], [])])
    vocab = Vocabulary.from_instances([Instance({"frames": field})])
    field.index(vocab)
    assert field.as_tensor(field.get_padding_lengths()).tolist() == [[0], [-1]]
