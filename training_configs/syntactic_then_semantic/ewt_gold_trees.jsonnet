// What `ewt_pipeline` would reach if its trees were right: the second stage alone, reading gold ones.
(import 'ewt_no_syntax.jsonnet') + (import 'gold_trees.libsonnet')
