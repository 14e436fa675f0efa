"""
Sweeps over the settings of a config: what `allennlp spigot-tune` runs. Needs the extra `tune`; what imports it has a
name that begins with `_`, because `--include-package` imports everything else.
"""
