(import 'base.libsonnet') + (import '../common/methods.libsonnet').straight_through
