// The second stage alone, on graphs, without trees.
(import 'base.libsonnet') + (import 'second_stage.libsonnet')
