(import 'listops.libsonnet') + (import '../common/methods.libsonnet').structured_attention
