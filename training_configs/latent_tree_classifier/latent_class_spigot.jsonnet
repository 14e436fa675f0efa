(import 'latent_class.libsonnet') + (import '../common/methods.libsonnet').spigot
