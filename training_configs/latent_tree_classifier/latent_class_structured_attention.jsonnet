(import 'latent_class.libsonnet') + (import '../common/methods.libsonnet').structured_attention
