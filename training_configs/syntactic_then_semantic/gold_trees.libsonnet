// Over a config of the second stage alone: it reads gold trees.
{
  dataset_reader+: { trees: 'companion' },
  model+: { reads_trees: true },
}
