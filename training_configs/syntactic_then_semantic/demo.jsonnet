// `ewt_spigot.jsonnet` at a size that two CPU cores train in under three minutes, on 300 real sentences:
// `allennlp train training_configs/syntactic_then_semantic/demo.jsonnet -s output/demo`
local training = import '../common/training.libsonnet';

(import 'ewt_spigot.jsonnet') + {
  glove:: null,
  word_dim:: 50,
  hidden_dim:: 100,
  batch_tokens:: 72,
  train_data_path: 'fixtures/ewt/train.sdp',
  validation_data_path: 'fixtures/ewt/dev.sdp',
  trainer+: { num_epochs: 20, learning_rate_scheduler: training.halved_every(7) },
}
