// `spigot.jsonnet` at the size of an example, without word vectors and with a parser that learns along:
// `allennlp train training_configs/semantic_then_sentiment/demo.jsonnet -s output/sentiment_demo`
(import 'spigot.jsonnet') + {
  glove:: null,
  parser_archive:: null,
  replay:: 1.0,
  word_dim:: 50,
  hidden_dim:: 100,
  classifier_dim:: 50,
  batch_size:: 8,
  train_data_path: { graphs: 'fixtures/ewt/train.sdp', sentiment: 'fixtures/sentiment/train.txt' },
  validation_data_path: { graphs: 'fixtures/ewt/dev.sdp', sentiment: 'fixtures/sentiment/dev.txt' },
  datasets_for_vocab_creation: ['train'],
  vocabulary: (import '../common/text.libsonnet').vocabulary(null),
  trainer+: { num_epochs: 25, patience:: null, optimizer+: { lr: 0.002, parameter_groups: [[['.*'], { fused: true }]] }, learning_rate_scheduler+: { step_size: 10 } },
}
