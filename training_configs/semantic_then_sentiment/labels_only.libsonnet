// Trains on sentiment labels alone, without replaying the parser's own data.
local training = import '../common/training.libsonnet';

{
  local readers = super.dataset_reader.readers,
  dataset_reader: readers.sentiment,
  train_data_path: std.extVar('SPIGOT_SENTIMENT_TRAIN'),
  validation_data_path: std.extVar('SPIGOT_SENTIMENT_DEV'),
  data_loader: { batch_sampler: training.batches($.batch_tokens) },
  validation_data_loader: self.data_loader,
  trainer+: { optimizer: training.adam(0.001) },
}
