"""
A model behind an address: what `allennlp spigot-serve` runs. Needs the extra `serve`; what imports it has a name that
begins with `_`, because `--include-package` imports everything else.
"""
