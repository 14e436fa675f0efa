// Words, lemmas and part-of-speech tags: three indexers of the field `tokens`, what embeds them, and what reads them.
{
  indexers: {
    words: { type: 'single_id', namespace: 'words', feature_name: 'text', lowercase_tokens: true },
    lemmas: { type: 'single_id', namespace: 'lemmas', feature_name: 'lemma_' },
    pos: { type: 'single_id', namespace: 'pos', feature_name: 'tag_' },
  },

  // `glove`: a file of vectors for words, or null. `sd`: with which standard deviation the vectors of lemmas and tags start,
  // and those of words where there is no file. `drops`: which features of a token word dropout makes unknown together.
  embedder(glove, word_dim, lemma_dim, pos_dim, word_dropout=0.25, sd=1.0, drops=['words']):: {
    local embedding = { type: 'spigot_embedding', sd: sd },
    type: 'spigot_word_dropout',
    features: drops,
    alpha: word_dropout,
    embedder: {
      token_embedders: {
        words: embedding { embedding_dim: word_dim, vocab_namespace: 'words', pretrained_file: glove },
        lemmas: embedding { embedding_dim: lemma_dim, vocab_namespace: 'lemmas' },
        pos: embedding { embedding_dim: pos_dim, vocab_namespace: 'pos' },
      },
    },
  },

  // Every word that has a vector gets an entry, so that one first seen in test data keeps its meaning. The type keeps how
  // often each word occurs, which word dropout needs.
  vocabulary(glove):: {
    type: 'spigot',
    pretrained_files: if glove == null then {} else { words: glove },
    min_pretrained_embeddings: { words: 1000000 },
  },

  lstm(input_dim, hidden_dim, layers=2, dropout=0.0):: {
    type: 'spigot_lstm',
    input_size: input_dim,
    hidden_size: hidden_dim,
    num_layers: layers,
    dropout: dropout,
    bidirectional: true,
  },

  mlp(hidden_dim, layers=2):: { num_layers: layers, hidden_dims: hidden_dim, activations: 'tanh' },
}
