// What a sweep over the demo varies:
// `allennlp spigot-tune training_configs/syntactic_then_semantic/demo.jsonnet \
//  training_configs/search_spaces/demo.libsonnet -s output/sweep -o '{"trainer.num_epochs": 4}' -n 8`
{
  // Named as in `--overrides`.
  'trainer.optimizer.lr': { type: 'float', low: 3e-4, high: 1e-2, log: true },
  'model.intermediate.step_size': { type: 'float', low: 0.1, high: 2.0 },
  // Hidden fields, which the config is built from.
  hidden_dim: { type: 'int', low: 50, high: 150, step: 50 },
  scorer: { type: 'categorical', choices: [{ type: 'mlp', hidden_dim: 100 }, { type: 'biaffine' }] },
}
