// What docs/study.md tunes of each method on SST-2, for `spigot-compare --space`.
(import '../common/search_space.libsonnet')(
  ['spigot', 'straight_through', 'structured_attention', 'pipeline'], low=3e-4, high=2e-3
)
