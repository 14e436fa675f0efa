from typing import Any, NamedTuple, Optional

import torch
from allennlp.common import Lazy
from allennlp.common.checks import ConfigurationError
from allennlp.data import TextFieldTensors, Vocabulary
from allennlp.models import Model
from allennlp.modules import FeedForward, Seq2SeqEncoder, Seq2VecEncoder, TextFieldEmbedder
from allennlp.modules.seq2vec_encoders import BagOfEmbeddingsEncoder
from allennlp.nn import InitializerApplicator
from allennlp.nn.util import get_text_field_mask, masked_mean
from torch.nn.functional import cross_entropy

from spigot_allennlp.checks import not_negative
from spigot_allennlp.models.extras import Extras, head_probabilities, name_head_probabilities
from spigot_allennlp.models.initialization import initialize
from spigot_allennlp.models.parser import check_widths
from spigot_allennlp.models.stage import count_classes, name_classes, read_weights
from spigot_allennlp.modules import Composition, TreeLoss
from spigot_allennlp.structures import Structure, registered_name
from spigot_allennlp.surrogates import StructuredArgmax
from spigot_allennlp.training.metrics import Accuracy, AttachmentScores, VMeasure


class _Sentences(NamedTuple):
    """
    What is known of a batch of sentences before a structure is chosen.

    tokens : `torch.Tensor`
        `(batch, length, dim)`: what is composed.
    mask : `torch.Tensor`
        `(batch, length)` bool.
    scores : `torch.Tensor`
        Of the parts, as the structure takes them.
    parts_mask : `torch.Tensor`
        The mask that goes with them.
    """

    tokens: torch.Tensor
    mask: torch.Tensor
    scores: torch.Tensor
    parts_mask: torch.Tensor


@Model.register("spigot_latent_tree_classifier")
class LatentTreeClassifier(Model):
    """
    Classifies a sentence, or a pair of them, by a structure of which nobody says what it should be: tokens are encoded,
    the parts of a structure scored, `intermediate` takes the best one, `composition` reads it, and what it makes of the
    tokens is summed up to a vector that is classified. The only loss is that of the classes; it reaches the scores
    through the structure (latent trees as in [Niculae et al., 2018](https://aclanthology.org/D18-1108/) and
    [Corro & Titov, 2019](https://aclanthology.org/P19-1551/)).

    The structure may be trees (compositions "graph_network" and "tree_lstm"), subsets of the tokens ("selection"),
    label sequences ("labels") or a class of the sentence ("latent_class"). Of pairs, both sentences go through the same
    layers, and their vectors `p` and `h` are joined as `[p; h; |p - h|; p * h]`
    ([Mou et al., 2016](https://aclanthology.org/P16-2022/)).

    Losses are summed over a batch, not averaged, as in the other pipelines.

    Registered as a `Model` with name "spigot_latent_tree_classifier".

    # Parameters

    vocab : `Vocabulary`
    text_field_embedder : `TextFieldEmbedder`
        Embeds the fields `tokens` and `hypothesis`, whose position 0 is ROOT.
    encoder : `Seq2SeqEncoder`
    intermediate : `StructuredArgmax`
        How the gradient passes, and over which structure.
    composition : `Composition`, optional (default = "graph_network")
        Over the same structure; its `input_dim` is filled in.
    seq2vec_encoder : `Seq2VecEncoder`, optional (default = "bag_of_embeddings", which averages)
        Makes one vector of a sentence's tokens, ROOT among them; "cls_pooler" takes that of ROOT.
    feedforward : `FeedForward`, optional (default = `None`)
        What stands between that vector, or the joined ones, and the scores of the classes; its `input_dim` is filled
        in.
    dropout : `float`, optional (default = `0.0`)
        On the embedded and on the encoded tokens.
    composes_encoded : `bool`, optional (default = `True`)
        Whether `composition` reads the encoded tokens. Otherwise it reads the embedded ones, and only the structure
        brings tokens together.
    is_pair : `bool`, optional (default = `False`)
        Whether there is a `hypothesis` beside `tokens`.
    tree_loss : `TreeLoss`, optional (default = `None`)
        On gold trees, where there are some. Without it they are for evaluation alone.
    tree_loss_weight : `float`, optional (default = `1.0`)
    initializer : `InitializerApplicator`, optional
    """

    default_predictor = "spigot_latent_tree_classifier"

    def __init__(
        self,
        vocab: Vocabulary,
        text_field_embedder: TextFieldEmbedder,
        encoder: Seq2SeqEncoder,
        intermediate: StructuredArgmax,
        composition: Lazy[Composition] = Lazy(Composition),
        seq2vec_encoder: Optional[Seq2VecEncoder] = None,
        feedforward: Optional[Lazy[FeedForward]] = None,
        dropout: float = 0.0,
        composes_encoded: bool = True,
        is_pair: bool = False,
        tree_loss: Optional[TreeLoss] = None,
        tree_loss_weight: float = 1.0,
        initializer: InitializerApplicator = InitializerApplicator(),
        **kwargs,
    ) -> None:
        super().__init__(vocab, **kwargs)
        check_widths(text_field_embedder, encoder)
        num_classes = count_classes(vocab)
        self.text_field_embedder = text_field_embedder
        self.encoder = encoder
        self.intermediate = intermediate
        self.composes_encoded = composes_encoded
        composed = encoder if composes_encoded else text_field_embedder
        self.composition = composition.construct(
            input_dim=composed.get_output_dim(), score_dim=encoder.get_output_dim()
        )
        structure = intermediate.structure
        if structure.cells != self.composition.cells:
            name = registered_name(self.composition, Composition)
            raise ConfigurationError(
                f"expected a structure whose cells are {self.composition.cells}, for the composition {name}, found "
                f"{structure.cells}"
            )
        self.seq2vec_encoder = seq2vec_encoder or BagOfEmbeddingsEncoder(
            self.composition.get_output_dim(), averaged=True
        )
        self.is_pair = is_pair
        dim = self.seq2vec_encoder.get_output_dim() * (4 if is_pair else 1)
        self.feedforward = None
        if feedforward is not None:
            self.feedforward = feedforward.construct(input_dim=dim)
            dim = self.feedforward.get_output_dim()
        self.projection = torch.nn.Linear(dim, num_classes)
        self.dropout = torch.nn.Dropout(dropout)
        if tree_loss is not None:
            if structure.cells != "heads":
                raise ConfigurationError(f"tree_loss needs a structure of heads, found {structure.cells}")
            structure.require(*tree_loss.needs, by=f"the loss {registered_name(tree_loss, TreeLoss)}")
        self.tree_loss = tree_loss
        self.tree_loss_weight = not_negative("tree_loss_weight", tree_loss_weight)
        self.accuracy = Accuracy()
        self.attachment_scores = AttachmentScores()
        self.v_measure = None
        num_gold = vocab.get_vocab_size("latent_class_labels")
        if self.composition.is_of_sentence and num_gold:
            # And those that the training data does not have, which have one id.
            self.v_measure = VMeasure(self.composition.num_classes, num_gold + 1)
        self.extras = Extras()
        initialize(self, initializer)

    def forward(
        self,  # type: ignore
        tokens: TextFieldTensors,
        hypothesis: Optional[TextFieldTensors] = None,
        label: Optional[torch.Tensor] = None,
        tree: Optional[torch.Tensor] = None,
        latent_class: Optional[torch.Tensor] = None,
        metadata: Optional[list[dict[str, Any]]] = None,
    ) -> dict[str, torch.Tensor]:
        """
        # Parameters

        tokens : `TextFieldTensors`
        hypothesis : `TextFieldTensors`, optional (default = `None`)
            The second sentence of a pair.
        label : `torch.Tensor`, optional (default = `None`)
            `(batch,)` int64.
        tree : `torch.Tensor`, optional (default = `None`)
            `(batch, length, length)` int64, `[modifier, head]`: -1 where `tokens` has no gold arc. Where the structure
            is no tree it is not used.
        latent_class : `torch.Tensor`, optional (default = `None`)
            `(batch,)` int64: the true class of each sentence (of `tokens`), for evaluation alone. It is not used where
            the structure is no class, or the training data had no true ones.
        metadata : `List[Dict[str, Any]]`, optional (default = `None`)

        # Returns

        `Dict[str, torch.Tensor]`
            `logits` and `probabilities`, `(batch, classes)`; `mask` and `chosen`, the structure that was chosen, 0/1;
            in evaluation `arc_weights`, what the classifier read of it; of pairs, these three with `hypothesis_` before
            them too; and `loss`, where `label` or, with a `tree_loss`, `tree` is given. In evaluation, what
            [`extras`](./extras.md) ask for: the [`head_probabilities`](./extras.md#head_probabilities) of `tokens`.
        """
        if (hypothesis is not None) != self.is_pair:
            expected, found = ("a pair of sentences", "one") if self.is_pair else ("one sentence", "a pair")
            raise ConfigurationError(f"is_pair is {str(self.is_pair).lower()}: expected {expected}, found {found}")
        texts = [tokens] if hypothesis is None else [tokens, hypothesis]
        sentences = [self._score(text) for text in texts]
        structures: list[torch.Tensor] = []

        def loss_at(position: int, z: torch.Tensor) -> torch.Tensor:
            # Called in the backward pass, when there are all structures.
            others = [z if i == position else one for i, one in enumerate(structures)]
            return cross_entropy(self._classify(sentences, others), label, reduction="sum")

        for position, sentence in enumerate(sentences):
            at = None if label is None else lambda z, position=position: loss_at(position, z)
            structures.append(self.intermediate(sentence.scores, sentence.parts_mask, at))
        output: dict[str, torch.Tensor] = {"logits": self._classify(sentences, structures)}
        output["probabilities"] = output["logits"].softmax(dim=1)
        for prefix, sentence, z in zip(("", "hypothesis_"), sentences, structures, strict=False):
            output[f"{prefix}mask"] = sentence.mask
            output[f"{prefix}chosen"] = self.intermediate.chosen(sentence.scores, sentence.parts_mask, z)
            if not self.training:
                output[f"{prefix}arc_weights"] = z
        if self.extras.probabilities and self.composition.cells == "heads" and not self.training:
            of_tree = (self.structure, sentences[0].scores, sentences[0].parts_mask, output["chosen"])
            output.update(head_probabilities(*of_tree))
        if latent_class is not None and self.v_measure is not None:
            self.v_measure(_latent_class(output["chosen"]), latent_class)
        losses = []
        if label is not None:
            losses.append(cross_entropy(output["logits"], label, reduction="sum"))
            self.accuracy(output["logits"], label)
        if tree is not None and self.composition.cells == "heads":
            gold, mask = (tree >= 0).to(sentences[0].scores), sentences[0].mask
            self.attachment_scores(output["chosen"].argmax(dim=2), gold.argmax(dim=2), mask)
            if self.tree_loss is not None:
                loss = self.tree_loss(sentences[0].scores, gold, mask, self.intermediate.structure).sum()
                losses.append(self.tree_loss_weight * loss)
        if losses:
            output["loss"] = sum(losses)
            self.intermediate.see_gradient_of(output["loss"])
        return output

    @property
    def structure(self) -> Structure:
        return self.intermediate.structure

    def _score(self, tokens: TextFieldTensors) -> _Sentences:
        mask = get_text_field_mask(tokens)
        embedded = self.dropout(self.text_field_embedder(tokens))
        encoded = self.dropout(self.encoder(embedded, mask))
        scored = encoded
        if self.composition.is_of_sentence:
            scored = masked_mean(encoded, mask.unsqueeze(2), dim=1, keepdim=True).expand_as(encoded)
        scores = self.composition.score(scored)
        return _Sentences(
            encoded if self.composes_encoded else embedded, mask, scores, self.composition.parts_mask(mask)
        )

    def _classify(self, sentences: list[_Sentences], structures: list[torch.Tensor]) -> torch.Tensor:
        """The scores of the classes, `(batch, classes)`."""
        vectors = []
        for sentence, z in zip(sentences, structures, strict=True):
            composed = self.composition(sentence.tokens, z, sentence.mask)
            vectors.append(self.seq2vec_encoder(composed, sentence.mask))
        joined = vectors[0]
        if self.is_pair:
            first, second = vectors
            joined = torch.cat([first, second, (first - second).abs(), first * second], dim=1)
        if self.feedforward is not None:
            joined = self.feedforward(joined)
        return self.projection(joined)

    def make_output_human_readable(self, output_dict: dict[str, Any]) -> dict[str, Any]:
        """
        Adds `label`, a string for each sentence, and replaces `probabilities` by a dictionary of those of all labels.
        Of `chosen` it makes `heads`, a list of the heads of each sentence's tokens (1-based, 0 is ROOT); `selected`, a
        list of the 1-based positions of chosen tokens; `latent_labels`, a list of numbers, one a token; or
        `latent_class`, a number. Of `arc_weights` it makes a list of `[modifier, head, weight]`, of `[position,
        weight]` or of `[position, previous, current, weight]`. What is of a pair's second sentence begins with
        `hypothesis_`.
        """
        for prefix in ("", "hypothesis_"):
            if f"{prefix}chosen" not in output_dict:
                continue
            lengths = output_dict.pop(f"{prefix}mask").sum(dim=1).tolist()
            if not prefix:
                name_head_probabilities(output_dict, lengths)
            chosen = output_dict.pop(f"{prefix}chosen")
            if self.composition.is_of_sentence:
                output_dict[prefix + "latent_class"] = _latent_class(chosen).tolist()
            else:
                name, read = _READABLE[self.composition.cells]
                output_dict[prefix + name] = [read(one[1:length]) for one, length in zip(chosen, lengths, strict=True)]
            if f"{prefix}arc_weights" in output_dict:
                output_dict[f"{prefix}arc_weights"] = read_weights(output_dict[f"{prefix}arc_weights"])
        name_classes(output_dict, self.vocab)
        return output_dict

    def get_metrics(self, reset: bool = False) -> dict[str, float]:
        """
        `accuracy`; `uas` and `uem` of `tokens`, where there were gold trees; and `v_measure` of latent classes, where
        the true ones were known.
        """
        metrics = [self.accuracy, self.attachment_scores] + ([self.v_measure] if self.v_measure is not None else [])
        return {name: figure for metric in metrics for name, figure in metric.get_metric(reset).items()}


def _latent_class(chosen: torch.Tensor) -> torch.Tensor:
    """Of the label sequence of ROOT alone, `(batch, length, classes, classes)`: `(batch,)` int64."""
    return chosen[:, 0].sum(dim=1).argmax(dim=1)


# What becomes of a chosen structure, its row of ROOT left out, by what its cells are.
_READABLE = {
    "heads": ("heads", lambda tree: tree.argmax(dim=1).tolist()),
    "positions": ("selected", lambda subset: [i for i, is_in in enumerate(subset.tolist(), start=1) if is_in > 0.5]),
    "label pairs": ("latent_labels", lambda chain: chain.sum(dim=1).argmax(dim=1).tolist()),
}
