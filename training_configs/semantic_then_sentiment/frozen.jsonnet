// The pretrained parser as it is, and a classifier that reads its graphs: labels alone, no SPIGOT_TRAIN, no SPIGOT_DEV.
(import 'base.libsonnet') + (import '../common/methods.libsonnet').pipeline + (import 'labels_only.libsonnet') + {
  model+: { update_parser: false },
}
