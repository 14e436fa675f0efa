"""A training of a toy, which several tests begin and interrupt."""

import json
from pathlib import Path
from typing import Optional

from allennlp.commands.train import train_model_from_file
from allennlp.models import Model

from tests import FIXTURES_ROOT


def train(output: Path, trainer: Optional[dict] = None, recover: bool = False) -> Model:
    """Trains for two epochs, of which the first is the best one."""
    settings = {"num_epochs": 2, "validation_metric": "+labelled_f1", **(trainer or {})}
    overrides = json.dumps({f"trainer.{key}": value for key, value in settings.items()})
    return train_model_from_file(
        FIXTURES_ROOT / "semantic_parser.jsonnet", output, overrides=overrides, recover=recover
    )


def forget_second_epoch(output: Path) -> None:
    for path in output.glob("*_state_e2_b0.th"):
        path.unlink()
