// A latent class under a label (`python -m spigot_allennlp.data.latent_class`), with the encoder and the decoder of
// Mihaylova et al. (EMNLP 2020), section 5.1: the mean of the words scores the classes, and each class has a linear layer.
//
// Environment: SPIGOT_SENTIMENT_TRAIN and SPIGOT_SENTIMENT_DEV, examples (.jsonl).
(import 'base.libsonnet') + {
  glove:: null,
  word_dim:: 50,
  lemma_dim:: 1,
  pos_dim:: 1,
  dropout:: 0.0,
  word_dropout:: 0.0,
  composition_dim:: 20,
  label_names:: {},
  model+: {
    encoder: { type: 'pass_through', input_dim: $.embedding_dim },
    composition: { type: 'latent_class', num_classes: 3, hidden_dim: $.composition_dim },
    intermediate+: { structure: { type: 'linear_chain' } },
    feedforward:: null,
  },
  trainer+: { num_epochs: 10, patience:: null },
}
