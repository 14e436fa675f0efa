"""Sweeps over the settings of a config: what `allennlp spigot-tune` runs. Needs the extra `tune`."""
