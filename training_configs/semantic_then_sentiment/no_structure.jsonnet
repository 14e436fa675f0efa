// The classifier without a parser, on labels alone: what the others have to beat. Of the environment it needs
// SPIGOT_SENTIMENT_TRAIN, SPIGOT_SENTIMENT_DEV and SPIGOT_GLOVE.
local text = import '../common/text.libsonnet';

(import 'base.libsonnet') + {
  local readers = super.dataset_reader.readers,
  dataset_reader: readers.sentiment,
  train_data_path: std.extVar('SPIGOT_SENTIMENT_TRAIN'),
  validation_data_path: std.extVar('SPIGOT_SENTIMENT_DEV'),
  vocabulary: text.vocabulary($.glove),
  model+: { semantic_parser:: null, intermediate:: null, pruning_threshold:: null },
  data_loader: { batch_sampler: { type: 'bucket', batch_size: $.batch_size } },
  validation_data_loader: self.data_loader,
  trainer+: { optimizer+: { parameter_groups:: null } },
}
