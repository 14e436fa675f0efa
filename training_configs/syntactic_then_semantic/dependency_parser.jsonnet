// The first stage alone, on trees: SPIGOT_TREES_TRAIN and SPIGOT_TREES_DEV, .conllu. Its archive can be the
// `pretrained_file` of a pipeline's `syntactic_parser`.
local text = import '../common/text.libsonnet';

(import 'base.libsonnet') + {
  local both = super.model,
  stages:: [''],
  dataset_reader: { type: 'spigot_conllu', token_indexers: $.indexers },
  train_data_path: std.extVar('SPIGOT_TREES_TRAIN'),
  validation_data_path: std.extVar('SPIGOT_TREES_DEV'),
  model: both.syntactic_parser { label_feedforward: text.mlp($.mlp_dim) },
  trainer+: { validation_metric: '+uas' },
}
