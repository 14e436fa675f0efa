"""Which of the readers of several tasks a predictor reads with."""

from typing import Optional

from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Instance
from allennlp.data.dataset_readers import MultiTaskDatasetReader

from spigot_allennlp.framework.bad_input.command import running_command


class OneTaskReader(MultiTaskDatasetReader):
    """
    The framework's reader of several tasks where `allennlp predict --multitask-head` has named one: files are read by
    the framework, which insists on such a reader, and all else is that task's.

    # Parameters

    reader : `MultiTaskDatasetReader`
    task : `str`

    # Raises

    `ConfigurationError`, if there is no such task.
    """

    def __init__(self, reader: MultiTaskDatasetReader, task: str) -> None:
        if task not in reader.readers:
            raise ConfigurationError(
                f"expected --multitask-head to be one of {', '.join(reader.readers)}, found {task}"
            )
        self.readers = reader.readers
        self._reader = reader.readers[task]
        self.inner = self._reader.inner

    def text_to_instance(self, *inputs) -> Instance:
        return self._reader.text_to_instance(*inputs)

    def apply_token_indexers(self, instance: Instance) -> None:
        self._reader.apply_token_indexers(instance)


def choose_reader(reader: DatasetReader, kind: type[DatasetReader]) -> DatasetReader:
    """
    Of a reader of several tasks the one that the command names or, else, the first of a kind, or the first. Any other
    reader is returned as it is.
    """
    if not isinstance(reader, MultiTaskDatasetReader) or isinstance(reader, OneTaskReader):
        return reader
    command = running_command()
    task: Optional[str] = None if command is None else command.options.get("multitask_head")
    if task is not None:
        return OneTaskReader(reader, task)
    readers = list(reader.readers.values())
    return next((found for found in readers if isinstance(found.inner, kind)), readers[0])
