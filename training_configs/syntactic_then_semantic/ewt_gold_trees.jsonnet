// What `ewt_pipeline` would reach if its trees were right: the second stage alone, reading gold ones.
(import 'ewt_no_syntax.jsonnet') + {
  dataset_reader+: { trees: 'companion' },
  model+: { reads_trees: true },
}
