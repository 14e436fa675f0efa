// Semantic parsing, then sentiment classification, after Peng, Thomson and Smith (ACL 2018), section 5: a pretrained
// parser predicts a graph, the classifier reads it. While the classifier trains, a part of the parser's own data is
// replayed. A method is this and an `intermediate`.
//
// Environment: SPIGOT_PARSER, the archive of `semantic_parser.jsonnet`, and SPIGOT_TRAIN and SPIGOT_DEV, the semantic
// graphs (.sdp) it was trained on; SPIGOT_SENTIMENT_TRAIN and SPIGOT_SENTIMENT_DEV; SPIGOT_GLOVE, as for the parser.
local text = import '../common/text.libsonnet';
local training = import '../common/training.libsonnet';

(import 'semantic_parser.jsonnet') + {
  local graphs = super.dataset_reader,
  local parser = super.model,

  // Fields with `::` are not part of the config: override them.
  parser_archive:: std.extVar('SPIGOT_PARSER'),
  classifier_dim:: 150,
  classifier_dropout:: 0.3,
  label_names:: { '0': 'negative', '1': 'positive' },
  replay:: 0.2,
  parser_learning_rate:: 0.0001,
  pruning_threshold:: 1e-4,
  // With ten times this step, SPIGOT makes the parser forget its own task faster than replay reminds it.
  step_size:: 0.1,
  max_gradient_norm:: 5 / 32,
  intermediate:: { structure: { type: 'semantic_graph' } },

  dataset_reader: {
    type: 'multitask',
    readers: {
      graphs: graphs,
      sentiment: { type: 'spigot_sentiment', token_indexers: $.indexers, label_names: $.label_names },
    },
  },
  train_data_path: { graphs: std.extVar('SPIGOT_TRAIN'), sentiment: std.extVar('SPIGOT_SENTIMENT_TRAIN') },
  validation_data_path: { graphs: std.extVar('SPIGOT_DEV'), sentiment: std.extVar('SPIGOT_SENTIMENT_DEV') },
  vocabulary: text.vocabulary($.glove) { type: 'spigot_extend', directory: $.parser_archive },

  model: {
    type: 'spigot_semantic_then_sentiment',
    semantic_parser: parser { pretrained_file: $.parser_archive },
    intermediate: $.intermediate,
    text_field_embedder: text.embedder($.glove, $.word_dim, $.lemma_dim, $.pos_dim, word_dropout=0.5, sd=$.embedding_sd),
    encoder: text.lstm($.embedding_dim, $.classifier_dim, layers=1),
    features: { hidden_dim: 2 * $.classifier_dim, role_dim: $.lemma_dim },
    // The mean of the tokens: their sum is too large for the tanh that reads it.
    seq2vec_encoder: { type: 'bag_of_embeddings', embedding_dim: $.model.features.hidden_dim, averaged: true },
    feedforward: text.mlp($.mlp_dim, layers=1),
    dropout: $.classifier_dropout,
    pruning_threshold: $.pruning_threshold,
  },

  data_loader: training.tasks($.batch_tokens, { graphs: $.replay }),
  validation_data_loader: training.tasks($.batch_tokens) { shuffle: false },
  trainer: training.trainer {
    num_epochs: 10,
    patience: 3,
    validation_metric: '+accuracy',
    optimizer: training.adam(0.001, [
      ['^semantic_parser', { lr: $.parser_learning_rate }],
      ['^(?!semantic_parser)', {}],
    ]),
    learning_rate_scheduler: training.halved_every(5),
  },
}
