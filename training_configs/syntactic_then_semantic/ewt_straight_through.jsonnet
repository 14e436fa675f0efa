(import 'ewt.libsonnet') + (import 'methods.libsonnet').straight_through
