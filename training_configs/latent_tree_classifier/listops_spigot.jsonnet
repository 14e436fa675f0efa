(import 'listops.libsonnet') + (import '../common/methods.libsonnet').spigot
