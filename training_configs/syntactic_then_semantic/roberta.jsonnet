// A pretrained transformer in place of word and lemma vectors. SPIGOT_TRANSFORMER names it ('roberta-base') or its folder.
local text = import '../common/text.libsonnet';
local training = import '../common/training.libsonnet';
local transformer = { type: 'pretrained_transformer_mismatched', model_name: std.extVar('SPIGOT_TRANSFORMER') };

(import 'base.libsonnet') + (import '../common/methods.libsonnet').spigot + {
  glove:: null,
  word_dim:: 768,  // the transformer's hidden_size
  embedding_dim:: self.word_dim + self.pos_dim,
  dropout:: 0.3,
  scorer:: { type: 'biaffine', hidden_dim: $.mlp_dim },
  indexers:: { words: transformer, pos: text.indexers.pos },
  embedder:: {
    token_embedders: {
      words: transformer,
      pos: { type: 'spigot_embedding', embedding_dim: $.pos_dim, vocab_namespace: 'pos' },
    },
  },
  data_loader: { batch_sampler: training.batches($.batch_tokens) },
  trainer+: {
    num_epochs: 10,
    optimizer: {
      type: 'huggingface_adamw',
      lr: 0.001,
      parameter_groups: [[['transformer_model'], { lr: 2e-5 }]],
    },
    learning_rate_scheduler: { type: 'linear_with_warmup', warmup_steps: 400 },
    grad_norm: 5.0,
  },
}
