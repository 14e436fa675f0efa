(import 'ewt.libsonnet') + (import '../common/methods.libsonnet').straight_through
