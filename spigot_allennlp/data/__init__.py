from spigot_allennlp.data import dataset_readers

__all__ = ["dataset_readers"]
