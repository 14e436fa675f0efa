(import 'base.libsonnet') + (import '../common/methods.libsonnet').structured_attention
