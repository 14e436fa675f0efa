"""Importing the package registers all of it with AllenNLP."""

from spigot_allennlp import bad_input, compat

compat.repair()
bad_input.report()

import spigot_allennlp.commands  # noqa: E402
import spigot_allennlp.data  # noqa: E402
import spigot_allennlp.models  # noqa: E402
import spigot_allennlp.modules  # noqa: E402
import spigot_allennlp.predictors  # noqa: E402
import spigot_allennlp.structures  # noqa: E402
import spigot_allennlp.training.metrics  # noqa: E402, F401
