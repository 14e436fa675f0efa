"""A model behind an address: what `allennlp spigot-serve` runs. Needs the extra `serve`."""
