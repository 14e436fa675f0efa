(import 'ewt.libsonnet') + (import '../common/methods.libsonnet').spigot
