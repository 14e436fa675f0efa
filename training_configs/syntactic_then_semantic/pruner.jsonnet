// A small first-order parser, whose archive is the SPIGOT_PRUNER of `spigot_pruned.jsonnet`: SPIGOT_TREES_TRAIN and
// SPIGOT_TREES_DEV, .conllu.
local training = import '../common/training.libsonnet';

(import 'dependency_parser.jsonnet') + {
  hidden_dim:: 50,
  mlp_dim:: 50,
  layers:: 1,
  model+: { loss: { type: 'tree_crf' }, label_feedforward:: null },
  data_loader: { batch_sampler: training.batches($.batch_tokens) },
  trainer+: {
    num_epochs: 5,
    optimizer: training.adam(0.002),
    learning_rate_scheduler: training.halved_every(2),
  },
}
