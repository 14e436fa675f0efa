// `ewt_spigot` without trees to learn from: the tree is whatever helps the graphs. A development graph has the gold tree
// of the .conllu beside it, to see how far the latent one is from it.
(import 'ewt_spigot.jsonnet') + {
  local graphs = super.dataset_reader,
  dataset_reader: graphs { trees: 'none' },
  validation_dataset_reader: graphs,
}
