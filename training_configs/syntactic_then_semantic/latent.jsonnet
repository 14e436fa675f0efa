// No gold trees at all: the intermediate tree is whatever helps the graphs.
(import 'base.libsonnet') + (import '../common/methods.libsonnet').spigot + {
  dataset_reader+: { trees: 'none' },
}
