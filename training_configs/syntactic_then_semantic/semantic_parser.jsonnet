// The second stage alone, on graphs, without trees.
(import 'base.libsonnet') + {
  local both = super.model,
  stages:: [''],
  dataset_reader+: { trees: 'none' },
  model: both.semantic_parser { text_field_embedder: both.syntactic_parser.text_field_embedder },
}
