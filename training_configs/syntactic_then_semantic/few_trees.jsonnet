// Few trees and many graphs, of other sentences: a parser that was pretrained on the trees, and what keeps it one while
// the loss on graphs reaches it (docs/learning.md). The development graphs have gold trees, to see what becomes of it.
//
// Environment: SPIGOT_TREE_PARSER, the archive of `few_trees_parser.jsonnet`, and SPIGOT_TREES_TRAIN, the trees (.conllu)
// it was trained on; SPIGOT_TRAIN, graphs (.sdp); SPIGOT_DEV, graphs with a .conllu beside them; SPIGOT_GLOVE.
local training = import '../common/training.libsonnet';

(import 'ewt.libsonnet') + (import '../common/methods.libsonnet').spigot + {
  local graphs = super.dataset_reader,

  // Fields with `::` are not part of the config: override them.
  tree_parser:: std.extVar('SPIGOT_TREE_PARSER'),
  // How often an epoch goes through the trees.
  replay:: 1.0,
  first_stage_learning_rate:: 0.0005,
  // With 0.1 `straight_through` loses its tree, and `structured_attention` gains more (docs/learning.md).
  pretrained_kl_weight:: 1.0,
  // In batches of graphs.
  warm_up:: { delay: 100, num_passes: 100 },

  dataset_reader: {
    type: 'multitask',
    readers: {
      semantics: graphs { trees: 'none' },
      syntax: { type: 'spigot_conllu', token_indexers: $.indexers },
    },
  },
  validation_dataset_reader: graphs,
  train_data_path: { semantics: std.extVar('SPIGOT_TRAIN'), syntax: std.extVar('SPIGOT_TREES_TRAIN') },

  model+: {
    syntactic_parser+: { pretrained_file: $.tree_parser },
    // Of its own, so that words may mean something else to it.
    semantic_parser+: { text_field_embedder: $.embedder },
    intermediate+: { warm_up: $.warm_up },
    pretrained_kl_weight: $.pretrained_kl_weight,
  },

  data_loader: training.tasks($.batch_tokens, { syntax: $.replay }),
  trainer+: {
    optimizer: training.adam(0.002, [
      ['^syntactic_parser', { lr: $.first_stage_learning_rate }],
      ['^semantic_parser', {}],
    ]),
  },
}
