// For a treebank of 12,000 sentences on two CPU cores: larger batches and fewer epochs than the paper's, and losses in
// which every head, arc and label decides alone, because with few updates they learn faster than the hinge.
local text = import '../common/text.libsonnet';

(import 'base.libsonnet') + {
  batch_size:: 32,
  dropout:: 0.3,
  model+: {
    syntactic_parser+: { loss: { type: 'head_selection' } },
    semantic_parser+: { loss: { type: 'sigmoid_softmax' } },
  },
  data_loader: { batch_sampler: text.batches($.batch_size) },
  trainer+: {
    num_epochs: 10,
    optimizer+: { lr: 0.002 },
    learning_rate_scheduler: { type: 'step', step_size: 4, gamma: 0.5 },
  },
}
