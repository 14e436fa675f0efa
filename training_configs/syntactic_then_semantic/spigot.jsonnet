// Paper settings. `allennlp train training_configs/syntactic_then_semantic/spigot.jsonnet -s output/spigot`
(import 'base.libsonnet') + (import '../common/methods.libsonnet').spigot
