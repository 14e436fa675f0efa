(import 'latent_class.libsonnet') + (import '../common/methods.libsonnet').straight_through
