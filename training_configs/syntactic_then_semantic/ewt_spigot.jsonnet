(import 'ewt.libsonnet') + (import 'methods.libsonnet').spigot
