// `spigot.jsonnet` with the paper's pruner of arcs: SPIGOT_PRUNER, the archive of `pruner.jsonnet`.
(import 'spigot.jsonnet') + {
  // Its sizes have to be those with which it was trained.
  pruner:: import 'pruner.jsonnet',
  model+: {
    syntactic_parser+: {
      pruner: {
        type: 'parser',
        parser: $.pruner.model { pretrained_file: std.extVar('SPIGOT_PRUNER') },
        threshold: 1e-4,
        max_heads: 20,
      },
    },
  },
}
