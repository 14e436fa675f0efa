from typing import Any, Optional

import torch
from allennlp.common import Lazy
from allennlp.common.checks import ConfigurationError
from allennlp.data import TextFieldTensors, Vocabulary
from allennlp.models import Model
from allennlp.modules import FeedForward, Seq2SeqEncoder, TextFieldEmbedder
from allennlp.nn import InitializerApplicator
from torch.nn.functional import cross_entropy

from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.models.extras import head_probabilities, name_head_probabilities, rounded
from spigot_allennlp.models.initialization import initialize
from spigot_allennlp.models.parser import Parser
from spigot_allennlp.models.stage import check_structure
from spigot_allennlp.models.word_pieces import check_word_pieces
from spigot_allennlp.modules import ArcPruner, PairScorer, TreeHinge, TreeLoss
from spigot_allennlp.modules.tree_loss import is_outside_of
from spigot_allennlp.structures import NonprojectiveTree, Structure, registered_name
from spigot_allennlp.training.metrics import AttachmentScores, OutsideTrees, Pruning


@Model.register("spigot_dependency_parser")
class DependencyParser(Parser):
    """
    An arc-factored dependency parser: every pair of tokens is scored, the best tree is predicted
    ([McDonald et al., 2005](https://aclanthology.org/H05-1066/);
    [Kiperwasser and Goldberg, 2016](https://aclanthology.org/Q16-1023/)). It stands alone, or is the first stage of
    `spigot_syntactic_then_semantic`.

    Registered as a `Model` with name "spigot_dependency_parser".

    # Parameters

    vocab : `Vocabulary`
    text_field_embedder : `TextFieldEmbedder`
    encoder : `Seq2SeqEncoder`
    arc_scorer : `PairScorer`, optional (default = "mlp")
        Scores `[modifier, head]`; its `input_dim` is filled in.
    structure : `Structure`, optional (default = "nonprojective_tree" with one root)
        The trees that may be predicted.
    loss : `TreeLoss`, optional (default = "hinge")
    label_feedforward : `FeedForward`, optional (default = `None`)
        What stands between a token joined with its head and the label of their arc; its `input_dim` is filled in.
        Without it the trees have no labels.
    pruner : `ArcPruner`, optional (default = `None`)
        Takes arcs away that it finds improbable; in training never gold ones.
    dropout : `float`, optional (default = `0.0`)
        On the encoded tokens.
    attachment_scores : `AttachmentScores`, optional
        What is measured: with and without punctuation, by default, where the reader says what that is.
    pretrained_file : `str`, optional (default = `None`)
        An archive to start from: that of such a parser, or of a pipeline that has one.
    initializer : `InitializerApplicator`, optional
    """

    default_predictor = "spigot_dependency_parser"

    def __init__(
        self,
        vocab: Vocabulary,
        text_field_embedder: TextFieldEmbedder,
        encoder: Seq2SeqEncoder,
        arc_scorer: Lazy[PairScorer] = Lazy(PairScorer),
        structure: Optional[Structure] = None,
        loss: Optional[TreeLoss] = None,
        label_feedforward: Optional[Lazy[FeedForward]] = None,
        pruner: Optional[ArcPruner] = None,
        dropout: float = 0.0,
        attachment_scores: Optional[AttachmentScores] = None,
        pretrained_file: Optional[str] = None,
        initializer: InitializerApplicator = InitializerApplicator(),
        **kwargs,
    ) -> None:
        super().__init__(vocab, text_field_embedder, encoder, dropout, **kwargs)
        dim = encoder.get_output_dim()
        self.arc_scorer = arc_scorer.construct(input_dim=dim)
        self.structure = structure or NonprojectiveTree(single_root=True)
        if self.structure.cells != "heads":
            raise ConfigurationError(
                f"a syntactic parser needs a structure of heads, but has a {type(self.structure).__name__}, whose "
                f"cells are {self.structure.cells}"
            )
        self.loss = loss or TreeHinge()
        loss_name = registered_name(self.loss, TreeLoss)
        self.structure.require("argmax", *self.loss.needs, by=f"the loss {loss_name}")
        self.label_feedforward = None
        if label_feedforward is not None:
            if not vocab.get_vocab_size("head_tags"):
                raise ConfigurationError("the vocabulary has no head_tags: were there trees in the training data?")
            self.label_feedforward = label_feedforward.construct(input_dim=2 * dim)
            self.label_projection = torch.nn.Linear(
                self.label_feedforward.get_output_dim(), vocab.get_vocab_size("head_tags")
            )
            self.label_projection._vocab_namespace = "head_tags"
        if pruner is not None:
            check_structure("the pruner's parser", pruner.structure, self.structure, of="the parser")
        self.pruner = pruner
        self.attachment_scores = attachment_scores or AttachmentScores()
        self.outside_trees = OutsideTrees(_name(self.structure), f"the loss {loss_name} {self.loss.of_outside}")
        self.pruning = Pruning()
        initialize(self, initializer)
        self.start_from(pretrained_file)

    def forward(
        self,  # type: ignore
        tokens: TextFieldTensors,
        tree: Optional[torch.Tensor] = None,
        graph: Optional[torch.Tensor] = None,
        metadata: Optional[list[dict[str, Any]]] = None,
        forbidden_arcs: Optional[torch.Tensor] = None,
        frames: Optional[torch.Tensor] = None,
    ) -> dict[str, torch.Tensor]:
        """
        # Parameters

        tokens : `TextFieldTensors`
        tree : `torch.Tensor`, optional (default = `None`)
            `(batch, length, length)` int64, `[modifier, head]`: the label of each gold arc, -1 where there is none. A
            token without any has no gold head.
        graph : `torch.Tensor`, optional (default = `None`)
            Not used; the readers of semantic graphs give it too.
        metadata : `List[Dict[str, Any]]`, optional (default = `None`)
        forbidden_arcs : `torch.Tensor`, optional (default = `None`)
            `(batch, length, length)` bool, `[modifier, head]`: arcs that the predicted tree must not have.
        frames : `torch.Tensor`, optional (default = `None`)
            Not used, as `graph`.

        # Returns

        `Dict[str, torch.Tensor]`
            `heads`, `(batch, length)` int64; `head_tags` likewise, with labels only; `mask`; and `loss`, summed over
            the batch, where gold trees are given. In evaluation, what [`extras`](./extras.md) ask for:
            `head_tag_probabilities`, `(batch, length)`, of the predicted labels;
            [`head_probabilities`](./extras.md#head_probabilities) and what goes with them; `tree_alternatives` and
            `tree_samples`, for each sentence a list of dictionaries with `heads`, `head_tags`, `score` and
            `probability`.
        """
        check_word_pieces(self, tokens, metadata)
        encoded, mask = self.encode(tokens)
        scores = self.prune(self.score(encoded), tokens, mask, tree, forbidden_arcs)
        scores = self.forbid(scores, mask, forbidden_arcs, metadata)
        return self.parse(encoded, mask, scores, self.structure.argmax(scores, mask), tree, metadata)

    def score(self, encoded: torch.Tensor) -> torch.Tensor:
        """The arc scores, `(batch, length, length)`, `[modifier, head]`, of `encoded` tokens."""
        return self.arc_scorer(encoded, encoded)

    def structure_scores(self, tokens: TextFieldTensors) -> torch.Tensor:
        encoded, mask = self.encode(tokens)
        return self.prune(self.score(encoded), tokens, mask)

    def prune(
        self,
        scores: torch.Tensor,
        tokens: TextFieldTensors,
        mask: torch.Tensor,
        tree: Optional[torch.Tensor] = None,
        forbidden_arcs: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        """
        The scores, with -inf for the arcs that the pruner takes away; without a pruner as they are. Where arcs are
        forbidden, it takes none away.
        """
        if self.pruner is None:
            return scores
        kept = self.pruner(tokens)
        if forbidden_arcs is not None:
            kept = kept | forbidden_arcs.flatten(1).any(1).view(-1, 1, 1)
        gold = None if tree is None else tree >= 0
        self.pruning(kept, mask, gold)
        if self.training and gold is not None:
            kept = kept | gold
        return scores.masked_fill(~kept, -torch.inf)

    def forbid(
        self,
        scores: torch.Tensor,
        mask: torch.Tensor,
        forbidden_arcs: Optional[torch.Tensor] = None,
        metadata: Optional[list[dict[str, Any]]] = None,
    ) -> torch.Tensor:
        """
        The scores, with -inf for forbidden arcs. Raises a `FormatError` that names the first sentence for which they
        leave no tree.
        """
        if forbidden_arcs is None:
            return scores
        scores = scores.masked_fill(forbidden_arcs, -torch.inf)
        for index in forbidden_arcs.flatten(1).any(1).nonzero().flatten().tolist():
            try:
                self.structure.argmax(scores[index : index + 1].detach(), mask[index : index + 1])
            except ValueError:
                raise FormatError(
                    f"expected heads and forbidden arcs that leave a {_name(self.structure)}, found none",
                    sentence_id=None if metadata is None else metadata[index].get("sentence_id"),
                ) from None
        return scores

    def parse(
        self,
        encoded: torch.Tensor,
        mask: torch.Tensor,
        scores: torch.Tensor,
        predicted: torch.Tensor,
        tree: Optional[torch.Tensor] = None,
        metadata: Optional[list[dict[str, Any]]] = None,
    ) -> dict[str, torch.Tensor]:
        """
        What `forward` returns, from encoded tokens, their arc scores and the trees that were chosen by them, 0/1 and of
        the shape of the scores.
        """
        output = {"heads": predicted.argmax(dim=2), "mask": mask}
        if self.label_feedforward is not None:
            label_scores = self._label_scores(encoded, predicted)
            output["head_tags"] = label_scores.argmax(dim=2)
            if self.tells(probabilities=True):
                output["head_tag_probabilities"] = label_scores.softmax(dim=2).amax(dim=2)
        if self.tells(probabilities=True):
            output.update(head_probabilities(self.structure, scores, mask, predicted))
        if self.tells():
            for name, others in self.extras.others(self.structure, scores, mask).items():
                others.readable = [self._read_tree(encoded, tree, mask) for tree in others.structures]
                output[f"tree_{name}"] = others.by_sentence()
        if tree is not None:
            gold = (tree >= 0).to(scores)
            output["loss"] = self._tree_loss(scores, gold, mask, metadata)
            gold_heads, gold_tags = gold.argmax(dim=2), None
            if self.label_feedforward is not None:
                gold_tags = tree.amax(dim=2)
                output["loss"] = output["loss"] + self._label_loss(self._label_scores(encoded, gold), gold_tags)
            has_head = mask & (gold.amax(dim=2) > 0)
            punctuation = _is_punctuation(mask, metadata)
            self.attachment_scores(
                output["heads"], gold_heads, has_head, output.get("head_tags"), gold_tags, punctuation
            )
        return output

    def _tree_loss(
        self, scores: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor, metadata: Optional[list[dict[str, Any]]]
    ) -> torch.Tensor:
        is_outside = is_outside_of(self.structure, gold, mask)
        self.outside_trees(is_outside, metadata, self.training)
        if self.pruner is None and self.loss.compared(self.structure) is self.structure:
            return self.loss(scores, gold, mask, self.structure, is_outside).sum()
        # Outside of training the pruner may have taken a gold arc away: any head will do then.
        return self.loss(scores, gold.where(scores > -torch.inf, 0.0), mask, self.structure).sum()

    def _label_scores(self, encoded: torch.Tensor, tree: torch.Tensor) -> torch.Tensor:
        # A token joined with its head. Shape: (batch, length, 2 * encoder_dim)
        arcs = torch.cat([encoded, torch.matmul(tree, encoded)], dim=-1)
        return self.label_projection(self.label_feedforward(arcs))

    def _label_loss(self, scores: torch.Tensor, gold_tags: torch.Tensor) -> torch.Tensor:
        # No label (ROOT and padding, -1) and labels that the vocabulary lacks are nothing to learn from.
        is_known = (gold_tags >= 0) & (gold_tags < scores.size(-1))
        return cross_entropy(scores[is_known], gold_tags[is_known], reduction="sum")

    def make_output_human_readable(self, output_dict: dict[str, Any]) -> dict[str, Any]:
        """
        Replaces `heads` by a list of the heads of each sentence's tokens (1-based, 0 is ROOT) and `head_tags` by a list
        of their labels; probabilities, where they are asked for, likewise.
        """
        mask = output_dict.pop("mask")
        name_head_probabilities(output_dict, mask.sum(dim=1).tolist())
        if "head_tag_probabilities" in output_dict:
            rows = _rows(output_dict["head_tag_probabilities"], mask)
            output_dict["head_tag_probabilities"] = [list(map(rounded, row)) for row in rows]
        output_dict["heads"] = _rows(output_dict["heads"], mask)
        if "head_tags" in output_dict:
            output_dict["head_tags"] = self._read_labels(output_dict["head_tags"], mask)
        return output_dict

    def _read_labels(self, head_tags: torch.Tensor, mask: torch.Tensor) -> list[list[str]]:
        labels = self.vocab.get_index_to_token_vocabulary("head_tags")
        return [[labels[i] for i in row] for row in _rows(head_tags, mask)]

    def _read_tree(self, encoded: torch.Tensor, tree: torch.Tensor, mask: torch.Tensor) -> list[dict[str, Any]]:
        """`heads` and, where there are labels, `head_tags` of each sentence."""
        columns = {"heads": _rows(tree.argmax(dim=2), mask)}
        if self.label_feedforward is not None:
            columns["head_tags"] = self._read_labels(self._label_scores(encoded, tree).argmax(dim=2), mask)
        return [dict(zip(columns, sentence, strict=True)) for sentence in zip(*columns.values(), strict=True)]

    def get_metrics(self, reset: bool = False) -> dict[str, float]:
        metrics = (self.attachment_scores, self.pruning, self.outside_trees)
        return {name: value for metric in metrics for name, value in metric.get_metric(reset).items()}


def _rows(values: torch.Tensor, mask: torch.Tensor) -> list[list[Any]]:
    """The values of each sentence's tokens, without ROOT."""
    return [row[1:length] for row, length in zip(values.tolist(), mask.sum(dim=1).tolist(), strict=True)]


def _name(structure: Structure) -> str:
    single_root = " with a single root" if getattr(structure, "single_root", False) else ""
    return registered_name(structure, Structure) + single_root


def _is_punctuation(mask: torch.Tensor, metadata: Optional[list[dict[str, Any]]]) -> Optional[torch.Tensor]:
    """Which tokens the reader says are punctuation, like `mask`; `None` where it does not say."""
    if not metadata or not all("is_punctuation" in sentence for sentence in metadata):
        return None
    found = torch.zeros_like(mask)
    for row, sentence in zip(found, metadata, strict=True):
        row[1 : len(sentence["is_punctuation"]) + 1] = torch.tensor(sentence["is_punctuation"])
    return found
