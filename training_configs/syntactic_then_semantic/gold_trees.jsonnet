// The second stage alone, reading gold trees: what a pipeline would reach if its trees were right, and a second stage
// to start a pipeline from (`pretrained_file` of `semantic_parser`).
(import 'semantic_parser.jsonnet') + {
  dataset_reader+: { trees: 'companion' },
  model+: { reads_trees: true },
}
