// For a treebank of 12,000 sentences on two CPU cores: larger batches and fewer epochs than the paper's, and losses in
// which every head, arc and label decides alone.
local training = import '../common/training.libsonnet';

(import 'base.libsonnet') + {
  dropout:: 0.3,
  drops:: ['words'],
  model+: {
    syntactic_parser+: { loss: { type: 'head_selection' } },
    semantic_parser+: { loss: { type: 'sigmoid_softmax' } },
  },
  data_loader: { batch_sampler: training.batches($.batch_tokens) },
  trainer+: {
    num_epochs: 10,
    optimizer: training.adam(0.002),
    learning_rate_scheduler: training.halved_every(4),
  },
}
