// The first stage of `few_trees.jsonnet` alone, to be pretrained on few trees: SPIGOT_TREES_TRAIN and SPIGOT_TREES_DEV,
// .conllu; SPIGOT_GLOVE. Its archive is the SPIGOT_TREE_PARSER of the pipeline.
local training = import '../common/training.libsonnet';

(import 'dependency_parser.jsonnet') + {
  dropout:: 0.3,
  batch_tokens:: 144,
  model+: { label_feedforward:: null, loss: { type: 'head_selection' } },
  data_loader: { batch_sampler: training.batches($.batch_tokens) },
  trainer+: {
    num_epochs: 40,
    patience: 8,
    optimizer: training.adam(0.002),
    learning_rate_scheduler: training.halved_every(15),
  },
}
