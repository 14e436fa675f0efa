// Trains on sentiment labels alone, without replaying the parser's own data.
local text = import '../common/text.libsonnet';

{
  local readers = super.dataset_reader.readers,
  dataset_reader: readers.sentiment,
  train_data_path: std.extVar('SPIGOT_SENTIMENT_TRAIN'),
  validation_data_path: std.extVar('SPIGOT_SENTIMENT_DEV'),
  data_loader: { batch_sampler: text.batches($.batch_size) },
  validation_data_loader: self.data_loader,
  trainer+: { optimizer+: { parameter_groups: [[['.*'], { fused: true }]] } },
}
