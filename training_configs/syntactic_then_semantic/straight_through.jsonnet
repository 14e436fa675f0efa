// Paper settings. `allennlp train training_configs/syntactic_then_semantic/straight_through.jsonnet -s output/straight_through`
(import 'base.libsonnet') + (import '../common/methods.libsonnet').straight_through
