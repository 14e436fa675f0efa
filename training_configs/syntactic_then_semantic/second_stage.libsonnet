// Over a config of both stages: the second one alone, on graphs, without trees.
{
  local both = super.model,
  stages:: [''],
  dataset_reader+: { trees: 'none' },
  model: both.semantic_parser { text_field_embedder: both.syntactic_parser.text_field_embedder },
}
