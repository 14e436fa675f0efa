// Syntactic-then-semantic parsing with the settings of Peng, Thomson and Smith (ACL 2018), as far as they are known.
// A method is this and an `intermediate`.
//
// Environment: SPIGOT_TRAIN and SPIGOT_DEV, semantic graphs (.sdp), each with a .conllu of the same sentences' trees
// beside it; SPIGOT_GLOVE, a file of 100-dimensional word vectors.
local text = import '../common/text.libsonnet';
local training = import '../common/training.libsonnet';

{
  // What the rest is built from. Fields with `::` are not part of the config: override them, `+ { hidden_dim:: 100 }`.
  // A key of the config that is overridden by `key:: null` is left out.
  glove:: std.extVar('SPIGOT_GLOVE'),
  word_dim:: 100,
  lemma_dim:: 50,
  pos_dim:: 50,
  embedding_dim:: self.word_dim + self.lemma_dim + self.pos_dim,
  hidden_dim:: 200,
  layers:: 2,
  mlp_dim:: 100,
  dropout:: 0.0,
  batch_tokens:: 576,
  update_tokens:: 144,
  // Of a sentence's dL/dz, for SPIGOT's rules, `straight_through` and `identity`.
  max_gradient_norm:: 1.0,
  scorer:: { type: 'mlp', hidden_dim: $.mlp_dim },
  indexers:: text.indexers,
  embedding_sd:: 1.0,
  drops:: ['words', 'lemmas', 'pos'],
  stages:: ['^syntactic_parser', '^semantic_parser'],
  embedder:: text.embedder($.glove, $.word_dim, $.lemma_dim, $.pos_dim, sd=$.embedding_sd, drops=$.drops),

  dataset_reader: { type: 'spigot_sdp', trees: 'companion', token_indexers: $.indexers },
  train_data_path: std.extVar('SPIGOT_TRAIN'),
  validation_data_path: std.extVar('SPIGOT_DEV'),
  datasets_for_vocab_creation: ['train'],
  vocabulary: text.vocabulary($.glove),

  model: {
    type: 'spigot_syntactic_then_semantic',
    syntactic_parser: {
      type: 'spigot_dependency_parser',
      text_field_embedder: $.embedder,
      encoder: text.lstm($.embedding_dim, $.hidden_dim, $.layers, $.dropout),
      dropout: $.dropout,
      arc_scorer: $.scorer,
      loss: { type: 'softmax_margin' },
    },
    semantic_parser: {
      type: 'spigot_semantic_parser',
      encoder: text.lstm($.embedding_dim, $.hidden_dim, $.layers, $.dropout),
      dropout: $.dropout,
      arc_scorer: $.scorer,
      label_scorer: $.scorer,
      predicate_feedforward: text.mlp($.mlp_dim),
      loss: { type: 'softmax_margin', false_positive: 0.4, false_negative: 0.6 },
    },
    intermediate: { structure: { type: 'nonprojective_tree', single_root: true } },
  },

  data_loader: { batch_sampler: training.batches($.update_tokens) },
  validation_data_loader: { batch_sampler: training.batches($.batch_tokens) },
  trainer: training.trainer {
    num_epochs: 30,
    validation_metric: '+labelled_f1',
    // Each stage's gradient has a norm of at most 1, and each step takes a millionth off a weight.
    optimizer: training.adam(0.001, [[stage, { grad_norm: 1.0 }] for stage in $.stages]) {
      type: 'adamw',
      weight_decay: 1e-3,
    },
    learning_rate_scheduler: training.halved_every(10),
  },
}
