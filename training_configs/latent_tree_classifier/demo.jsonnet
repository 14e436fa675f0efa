// `listops_spigot.jsonnet` at the size of an example:
// `allennlp train training_configs/latent_tree_classifier/demo.jsonnet -s output/listops_demo`
(import 'listops_spigot.jsonnet') + {
  train_data_path: 'fixtures/listops/train.jsonl',
  validation_data_path: 'fixtures/listops/dev.jsonl',
  batch_tokens:: 288,
}
