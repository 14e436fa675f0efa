"""Registers everything with AllenNLP: what `.allennlp_plugins` names."""

from spigot_allennlp.framework import bad_input, compat

compat.repair()
bad_input.report()

import spigot_allennlp.commands  # noqa: E402
import spigot_allennlp.data  # noqa: E402
import spigot_allennlp.models  # noqa: E402
import spigot_allennlp.modules  # noqa: E402
import spigot_allennlp.predictors  # noqa: E402
import spigot_allennlp.structures  # noqa: E402
import spigot_allennlp.surrogates  # noqa: E402
import spigot_allennlp.training.metrics  # noqa: E402, F401
