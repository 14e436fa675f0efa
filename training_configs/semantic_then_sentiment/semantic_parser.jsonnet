// The first stage alone, to be pretrained: SPIGOT_TRAIN and SPIGOT_DEV, semantic graphs (.sdp); SPIGOT_GLOVE, a file of
// 100-dimensional word vectors. Its archive is the SPIGOT_PARSER of the pipelines.
local ewt = import '../syntactic_then_semantic/ewt.libsonnet';

(import '../syntactic_then_semantic/semantic_parser.jsonnet') + {
  dropout:: ewt.dropout,
  model+: {
    loss: { type: 'sigmoid_softmax' },
    // Every part of the graph is then an arc with a label, and the classifier's gradient reaches all of them.
    predicate_feedforward:: null,
  },
  data_loader: ewt.data_loader,
  trainer: ewt.trainer,
}
