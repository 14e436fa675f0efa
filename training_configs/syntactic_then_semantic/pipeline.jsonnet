// Paper settings. `allennlp train training_configs/syntactic_then_semantic/pipeline.jsonnet -s output/pipeline`
(import 'base.libsonnet') + (import '../common/methods.libsonnet').pipeline
