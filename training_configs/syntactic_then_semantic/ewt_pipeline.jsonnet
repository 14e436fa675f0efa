(import 'ewt.libsonnet') + (import 'methods.libsonnet').pipeline
