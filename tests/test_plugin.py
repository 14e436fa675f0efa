"""What the framework finds when it imports the package."""

import importlib
import pkgutil
import re

import pytest
from allennlp.commands import Subcommand
from allennlp.common.registrable import Registrable
from allennlp.data import BatchSampler, DatasetReader, Vocabulary
from allennlp.data.data_loaders.multitask_scheduler import MultiTaskScheduler
from allennlp.models import Model
from allennlp.modules import TextFieldEmbedder
from allennlp.modules.token_embedders import TokenEmbedder
from allennlp.predictors import Predictor
from allennlp.training import Checkpointer, Trainer
from allennlp.training.callbacks import TrainerCallback
from allennlp.training.metrics import Metric

import spigot_allennlp
from spigot_allennlp.modules import ArcPruner, GraphLoss, PairScorer, TreeLoss
from spigot_allennlp.structures import Structure
from spigot_allennlp.surrogates import StructuredArgmax
from tests.programs import run

MODELS = {
    "spigot_dependency_parser",
    "spigot_semantic_parser",
    "spigot_syntactic_then_semantic",
    "spigot_semantic_then_sentiment",
    "spigot_latent_tree_classifier",
}
NAMES = {
    DatasetReader: {"spigot_sdp", "spigot_conllu", "spigot_sentiment"},
    MultiTaskScheduler: {"spigot_interleaved"},
    Model: MODELS,
    Predictor: MODELS,
    Metric: {
        "spigot_semantic_dependency_f1",
        "spigot_attachment_scores",
        "spigot_accuracy",
        "spigot_frame_f1",
        "spigot_pruning",
        "spigot_outside_trees",
        "spigot_v_measure",
    },
    TokenEmbedder: {"spigot_word_dropout", "spigot_embedding"},
    TextFieldEmbedder: {"spigot_word_dropout"},
    TrainerCallback: {"spigot_monitor", "spigot_recover"},
    Trainer: {"spigot"},
    Checkpointer: {"spigot"},
    BatchSampler: {"spigot_max_tokens"},
    Vocabulary: {"spigot", "spigot_extend"},
    Subcommand: {"spigot-compare", "spigot-convert", "spigot-draw", "spigot-serve", "spigot-tune"},
}


@pytest.mark.parametrize("registry", NAMES, ids=lambda registry: registry.__name__)
def test_names_in_the_framework(registry):
    ours = {
        name
        for name, (cls, _) in Registrable._registry[registry].items()
        if cls.__module__.startswith("spigot_allennlp")
    }
    assert ours == NAMES[registry]


def test_every_name_in_the_framework_has_our_prefix():
    for registry, entries in Registrable._registry.items():
        if not registry.__module__.startswith("spigot_allennlp"):
            for name, (cls, _) in entries.items():
                assert not cls.__module__.startswith("spigot_allennlp") or re.match(r"spigot\b|spigot[_-]", name), name


def test_names_of_our_own():
    assert {"single_head", "nonprojective_tree", "projective_tree", "semantic_graph"} <= set(Structure.list_available())
    assert {"spigot", "straight_through", "structured_attention", "pipeline"} <= set(StructuredArgmax.list_available())
    assert set(ArcPruner.list_available()) == {"parser"}
    assert set(PairScorer.list_available()) == {"mlp", "biaffine"}
    assert set(TreeLoss.list_available()) == {"hinge", "softmax_margin", "tree_crf", "head_selection"}
    assert set(GraphLoss.list_available()) == {"hinge", "softmax_margin", "sigmoid_softmax"}


def test_each_model_has_its_predictor():
    for name in MODELS:
        assert Model.by_name(name).default_predictor in Predictor.list_available()


def test_every_module_imports():
    for module in pkgutil.walk_packages(spigot_allennlp.__path__, "spigot_allennlp."):
        importlib.import_module(module.name)


def test_the_plugin_file_is_all_the_framework_needs():
    ended = run(
        "import sys; sys.modules['numba'] = None;"  # no compiler is loaded before it is needed
        "from allennlp.common.plugins import import_plugins; import_plugins();"
        "from allennlp.models import Model; print(Model.by_name('spigot_syntactic_then_semantic').__name__)"
    )
    assert ended.out == "SyntacticThenSemantic\n", ended.errors


# Imports the package as `--include-package` does, and then by `.allennlp_plugins`, where no extra is installed.
INCLUDE = """
import sys
from allennlp.common.plugins import import_plugins
from allennlp.common.util import import_module_and_submodules

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
import_module_and_submodules("spigot_allennlp")
from allennlp.commands import Subcommand
from allennlp.training import Trainer

print({"spigot"} <= set(Trainer.list_available()), {"spigot-tune"} <= set(Subcommand.list_available()))
import_plugins()
"""
SERVE = ["fastapi", "fastapi_offline", "httptools", "prometheus_client", "uvicorn"]
TUNE = ["matplotlib", "optuna", "sqlalchemy"]


def test_including_the_package_works_without_the_extras_and_beside_the_plugin_file():
    ended = run(INCLUDE, *SERVE, *TUNE)
    assert ended.status == 0 and ended.out.splitlines() == ["True True"], ended.errors
