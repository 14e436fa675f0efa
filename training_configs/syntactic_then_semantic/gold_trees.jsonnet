// The second stage alone, reading gold trees: what a pipeline would reach if its trees were right, and a second stage
// to start a pipeline from (`pretrained_file` of `semantic_parser`).
(import 'semantic_parser.jsonnet') + (import 'gold_trees.libsonnet')
