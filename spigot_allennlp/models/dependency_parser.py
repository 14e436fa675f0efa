from typing import Any, Optional

import torch
from allennlp.common import Lazy
from allennlp.common.checks import ConfigurationError
from allennlp.data import TextFieldTensors, Vocabulary
from allennlp.models import Model
from allennlp.modules import FeedForward, Seq2SeqEncoder, TextFieldEmbedder
from allennlp.nn import InitializerApplicator
from torch.nn.functional import cross_entropy

from spigot_allennlp.models.initialization import initialize
from spigot_allennlp.models.parser import Parser
from spigot_allennlp.models.stage import check_structure
from spigot_allennlp.models.word_pieces import check_word_pieces
from spigot_allennlp.modules import ArcPruner, PairScorer, TreeHinge, TreeLoss
from spigot_allennlp.structures import NonprojectiveTree, Structure, registered_name
from spigot_allennlp.training.metrics import AttachmentScores, Pruning


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
        self.structure.require("argmax", *self.loss.needs, by=f"the loss {registered_name(self.loss, TreeLoss)}")
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
        self.attachment_scores = AttachmentScores()
        self.pruning = Pruning()
        initialize(self, initializer)
        self.start_from(pretrained_file)

    def forward(
        self,  # type: ignore
        tokens: TextFieldTensors,
        tree: Optional[torch.Tensor] = None,
        graph: Optional[torch.Tensor] = None,
        metadata: Optional[list[dict[str, Any]]] = None,
    ) -> dict[str, torch.Tensor]:
        """
        # Parameters

        tokens : `TextFieldTensors`
        tree : `torch.Tensor`, optional (default = `None`)
            `(batch, length, length)` int64, `[modifier, head]`: the label of each gold arc, -1 where there is none.
        graph : `torch.Tensor`, optional (default = `None`)
            Not used; the readers of semantic graphs give it too.
        metadata : `List[Dict[str, Any]]`, optional (default = `None`)

        # Returns

        `Dict[str, torch.Tensor]`
            `heads`, `(batch, length)` int64; `head_tags` likewise, with labels only; `mask`; and `loss`, summed over
            the batch, where gold trees are given.
        """
        check_word_pieces(self, tokens, metadata)
        encoded, mask = self.encode(tokens)
        scores = self.prune(self.score(encoded), tokens, mask, tree)
        return self.parse(encoded, mask, scores, self.structure.argmax(scores, mask), tree)

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
    ) -> torch.Tensor:
        """The scores, with -inf for the arcs that the pruner takes away; without a pruner as they are."""
        if self.pruner is None:
            return scores
        kept = self.pruner(tokens)
        gold = None if tree is None else tree >= 0
        self.pruning(kept, mask, gold)
        if self.training and gold is not None:
            kept = kept | gold
        return scores.masked_fill(~kept, -torch.inf)

    def parse(
        self,
        encoded: torch.Tensor,
        mask: torch.Tensor,
        scores: torch.Tensor,
        predicted: torch.Tensor,
        tree: Optional[torch.Tensor] = None,
    ) -> dict[str, torch.Tensor]:
        """
        What `forward` returns, from encoded tokens, their arc scores and the trees that were chosen by them, 0/1 and of
        the shape of the scores.
        """
        output = {"heads": predicted.argmax(dim=2), "mask": mask}
        if self.label_feedforward is not None:
            output["head_tags"] = self._label_scores(encoded, predicted).argmax(dim=2)
        if tree is not None:
            gold = (tree >= 0).to(scores)
            # Outside of training the pruner may have taken a gold arc away, whose loss would be infinite.
            gold_left = gold.where(scores > -torch.inf, 0.0)
            output["loss"] = self.loss(scores, gold_left, mask, self.structure).sum()
            gold_heads, gold_tags = gold.argmax(dim=2), None
            if self.label_feedforward is not None:
                gold_tags = tree.amax(dim=2)
                output["loss"] = output["loss"] + self._label_loss(self._label_scores(encoded, gold), gold_tags)
            self.attachment_scores(output["heads"], gold_heads, mask, output.get("head_tags"), gold_tags)
        return output

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
        of their labels.
        """
        lengths = output_dict.pop("mask").sum(dim=1).tolist()
        heads = output_dict["heads"].tolist()
        output_dict["heads"] = [row[1:length] for row, length in zip(heads, lengths, strict=True)]
        if "head_tags" in output_dict:
            labels = self.vocab.get_index_to_token_vocabulary("head_tags")
            tags = output_dict["head_tags"].tolist()
            output_dict["head_tags"] = [
                [labels[i] for i in row[1:length]] for row, length in zip(tags, lengths, strict=True)
            ]
        return output_dict

    def get_metrics(self, reset: bool = False) -> dict[str, float]:
        return {**self.attachment_scores.get_metric(reset), **self.pruning.get_metric(reset)}
