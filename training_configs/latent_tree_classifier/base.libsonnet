// Classification of sentences by a latent tree: nobody says what the tree should be. A method is this and an
// `intermediate`.
//
// Environment: SPIGOT_SENTIMENT_TRAIN and SPIGOT_SENTIMENT_DEV, labelled sentences, in any format of docs/data.md;
// SPIGOT_GLOVE, a file of 100-dimensional word vectors.
local text = import '../common/text.libsonnet';
local training = import '../common/training.libsonnet';

{
  // Fields with `::` are not part of the config: override them.
  glove:: std.extVar('SPIGOT_GLOVE'),
  word_dim:: 100,
  lemma_dim:: 50,
  pos_dim:: 50,
  embedding_dim:: self.word_dim + self.lemma_dim + self.pos_dim,
  hidden_dim:: 100,
  layers:: 1,
  mlp_dim:: 100,
  dropout:: 0.3,
  word_dropout:: 0.25,
  embedding_sd:: 1.0,
  batch_tokens:: 576,
  label_names:: { '0': 'negative', '1': 'positive' },
  scorer:: { type: 'mlp', hidden_dim: $.mlp_dim }, // biaffine scores have no bound: docs/learning.md
  indexers:: text.indexers,

  dataset_reader: { type: 'spigot_sentiment', token_indexers: $.indexers, label_names: $.label_names },
  train_data_path: std.extVar('SPIGOT_SENTIMENT_TRAIN'),
  validation_data_path: std.extVar('SPIGOT_SENTIMENT_DEV'),
  datasets_for_vocab_creation: ['train'],
  vocabulary: text.vocabulary($.glove),

  model: {
    type: 'spigot_latent_tree_classifier',
    text_field_embedder: text.embedder($.glove, $.word_dim, $.lemma_dim, $.pos_dim, $.word_dropout, $.embedding_sd),
    encoder: text.lstm($.embedding_dim, $.hidden_dim, $.layers),
    composition: { type: 'graph_network', hidden_dim: 2 * $.hidden_dim, arc_scorer: $.scorer },
    intermediate: { structure: { type: 'nonprojective_tree', single_root: true } },
    feedforward: text.mlp($.mlp_dim, layers=1),
    dropout: $.dropout,
  },

  data_loader: { batch_sampler: training.batches($.batch_tokens) },
  validation_data_loader: self.data_loader,
  trainer: training.trainer {
    num_epochs: 10,
    patience: 3,
    validation_metric: '+accuracy',
    optimizer: training.adam(0.001),
    learning_rate_scheduler: training.halved_every(5),
  },
}
