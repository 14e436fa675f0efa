(import 'ewt.libsonnet') + (import '../common/methods.libsonnet').structured_attention
