(import 'ewt.libsonnet') + (import '../common/methods.libsonnet').pipeline
