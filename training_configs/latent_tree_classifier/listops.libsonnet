// ListOps (`python -m spigot_allennlp.data.listops`): the true structure is known, so that `uas` says how much of it the
// latent tree has. Its composition reads the bare tokens: only the tree brings them together.
//
// Environment: SPIGOT_SENTIMENT_TRAIN and SPIGOT_SENTIMENT_DEV, expressions (.jsonl).
local training = import '../common/training.libsonnet';

(import 'base.libsonnet') + {
  glove:: null,
  word_dim:: 50,
  lemma_dim:: 1,
  pos_dim:: 1,
  dropout:: 0.0,
  label_names:: {},
  word_dropout:: 0.0,
  composition_dim:: 100,
  model+: {
    composes_encoded: false,
    composition: { type: 'tree_lstm', hidden_dim: $.composition_dim, arc_scorer: $.scorer },
    seq2vec_encoder: { type: 'cls_pooler', embedding_dim: $.composition_dim },
    intermediate+: { structure: { type: 'projective_tree', single_root: true } },
  },
  trainer+: { num_epochs: 20, patience:: null, learning_rate_scheduler: training.halved_every(10) },
}
