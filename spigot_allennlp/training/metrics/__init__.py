from spigot_allennlp.training.metrics.accuracy import Accuracy as Accuracy
from spigot_allennlp.training.metrics.attachment_scores import AttachmentScores as AttachmentScores
from spigot_allennlp.training.metrics.counting_metric import CountingMetric as CountingMetric
from spigot_allennlp.training.metrics.frame_f1 import FrameF1 as FrameF1
from spigot_allennlp.training.metrics.outside_trees import OutsideTrees as OutsideTrees
from spigot_allennlp.training.metrics.pruning import Pruning as Pruning
from spigot_allennlp.training.metrics.semantic_dependency_f1 import SemanticDependencyF1 as SemanticDependencyF1
from spigot_allennlp.training.metrics.v_measure import VMeasure as VMeasure
