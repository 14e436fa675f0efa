(import 'listops.libsonnet') + (import '../common/methods.libsonnet').straight_through
