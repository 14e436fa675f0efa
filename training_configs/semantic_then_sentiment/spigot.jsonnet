(import 'base.libsonnet') + (import '../common/methods.libsonnet').spigot
