// Trees from one corpus (SPIGOT_TREES_TRAIN and SPIGOT_TREES_DEV, .conllu), graphs from another (SPIGOT_TRAIN and
// SPIGOT_DEV, .sdp): their batches come in random order, and a tree that a graph's sentence gets is always a predicted one.
local training = import '../common/training.libsonnet';

(import 'base.libsonnet') + (import '../common/methods.libsonnet').spigot + {
  dataset_reader: {
    type: 'multitask',
    readers: {
      semantics: { type: 'spigot_sdp', token_indexers: $.indexers },
      syntax: { type: 'spigot_conllu', token_indexers: $.indexers },
    },
  },
  train_data_path: { semantics: std.extVar('SPIGOT_TRAIN'), syntax: std.extVar('SPIGOT_TREES_TRAIN') },
  validation_data_path: { semantics: std.extVar('SPIGOT_DEV'), syntax: std.extVar('SPIGOT_TREES_DEV') },
  data_loader: training.tasks($.batch_tokens),
  validation_data_loader: training.tasks($.batch_tokens) { shuffle: false },
}
