// `ewt_spigot.jsonnet`, which predicts frames too, the senses of predicates.
(import 'ewt_spigot.jsonnet') + {
  dataset_reader+: { frames: true },
  model+: { semantic_parser+: { frames: {} } },
}
