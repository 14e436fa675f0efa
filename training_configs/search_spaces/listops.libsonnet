// What docs/study.md tunes of each method on ListOps, for `spigot-compare --space`.
(import '../common/search_space.libsonnet')(
  ['spigot', 'straight_through', 'structured_attention', 'pipeline', 'spigot_ce', 'spigot_eg'], low=3e-4, high=1e-2
)
