// A pretrained transformer in place of word and lemma vectors. SPIGOT_TRANSFORMER names it ('roberta-base') or its folder.
local text = import '../common/text.libsonnet';
local training = import '../common/training.libsonnet';

(import 'base.libsonnet') + (import '../common/methods.libsonnet').spigot + {
  local transformer = {
    type: 'pretrained_transformer_mismatched',
    model_name: std.extVar('SPIGOT_TRANSFORMER'),
    max_length: $.window,
  },

  // A sentence of more word pieces is read in windows of so many. roberta-base takes 512 at once; a RoBERTa with 512 positions
  // in its config takes 510.
  window:: 510,
  // 1e-4 is measured with 22M parameters (docs/configs.md). For roberta-base and larger, 2e-5 is usual, and not measured here:
  // `(import 'roberta.jsonnet') + { transformer_learning_rate:: 2e-5 }`.
  transformer_learning_rate:: 1e-4,
  warmup_steps:: 400,
  glove:: null,
  embedding_dim:: null,  // the encoders read as many as the transformer gives
  dropout:: 0.3,
  scorer:: { type: 'biaffine', hidden_dim: $.mlp_dim },
  indexers:: { words: transformer, pos: text.indexers.pos },
  embedder:: {
    token_embedders: {
      words: transformer,
      pos: { type: 'spigot_embedding', sd: $.embedding_sd, embedding_dim: $.pos_dim, vocab_namespace: 'pos' },
    },
  },
  model+: {
    syntactic_parser+: { loss: { type: 'head_selection' } },
    semantic_parser+: { loss: { type: 'sigmoid_softmax' } },
  },
  data_loader: { batch_sampler: training.batches($.update_tokens) },
  trainer+: {
    num_epochs: 10,
    optimizer: {
      type: 'huggingface_adamw',
      lr: 0.001,
      parameter_groups: [[['transformer_model'], { lr: $.transformer_learning_rate }]],
    },
    learning_rate_scheduler: { type: 'linear_with_warmup', warmup_steps: $.warmup_steps },
    grad_norm: 5.0,
  },
}
