// What `ewt_spigot` and `few_trees` are to be better than: graphs without trees.
(import 'ewt.libsonnet') + (import 'second_stage.libsonnet')
