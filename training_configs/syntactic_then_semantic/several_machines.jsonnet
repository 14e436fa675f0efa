// `several_gpus.jsonnet` on two machines. The same command runs on both, with `--node-rank 0` on the first, whose address
// is SPIGOT_PRIMARY_ADDRESS, and `--node-rank 1` on the second.
(import 'several_gpus.jsonnet') + {
  distributed+: { num_nodes: 2, primary_address: std.extVar('SPIGOT_PRIMARY_ADDRESS'), primary_port: 29500 },
}
