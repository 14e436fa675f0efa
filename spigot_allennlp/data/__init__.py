from spigot_allennlp.data import dataset_readers, multitask_scheduler

__all__ = ["dataset_readers", "multitask_scheduler"]
