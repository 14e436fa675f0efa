// Paper settings. `allennlp train training_configs/syntactic_then_semantic/structured_attention.jsonnet -s output/structured_attention`
(import 'base.libsonnet') + (import '../common/methods.libsonnet').structured_attention
