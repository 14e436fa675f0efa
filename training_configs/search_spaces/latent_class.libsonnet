// What docs/study.md tunes of each method on the latent class, for `spigot-compare --space`.
(import '../common/search_space.libsonnet')(
  ['spigot', 'spigot_ce', 'spigot_eg', 'straight_through', 'structured_attention', 'pipeline'], low=1e-3, high=3e-2
)
