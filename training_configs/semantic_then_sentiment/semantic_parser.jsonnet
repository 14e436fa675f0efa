// The first stage alone, to be pretrained: SPIGOT_TRAIN and SPIGOT_DEV, semantic graphs (.sdp); SPIGOT_GLOVE, a file of
// 100-dimensional word vectors. Its archive is the SPIGOT_PARSER of the pipelines.
local training = import '../common/training.libsonnet';
local ewt = import '../syntactic_then_semantic/ewt.libsonnet';

(import '../syntactic_then_semantic/semantic_parser.jsonnet') + {
  dropout:: ewt.dropout,
  drops:: ewt.drops,
  model+: {
    loss: { type: 'sigmoid_softmax' },
    // A predicate's own score is not trained: what the docs report was measured without.
    predicate_feedforward:: null,
  },
  data_loader: { batch_sampler: training.batches($.batch_tokens) },
  trainer: ewt.trainer,
}
