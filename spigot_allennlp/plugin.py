"""Registers everything with AllenNLP: what `.allennlp_plugins` names."""

import spigot_allennlp.commands
import spigot_allennlp.data
import spigot_allennlp.framework.checkpointer
import spigot_allennlp.framework.max_tokens_sampler
import spigot_allennlp.framework.recover
import spigot_allennlp.framework.trainer
import spigot_allennlp.framework.vocabulary
import spigot_allennlp.models
import spigot_allennlp.modules
import spigot_allennlp.predictors
import spigot_allennlp.structures
import spigot_allennlp.surrogates
import spigot_allennlp.training.callbacks
import spigot_allennlp.training.metrics  # noqa: F401
from spigot_allennlp.framework import libraries
from spigot_allennlp.framework.bad_input import hook

libraries.repair()
hook.report()
