(import 'ewt.libsonnet') + (import 'methods.libsonnet').structured_attention
