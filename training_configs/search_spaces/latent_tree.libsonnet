// What docs/study.md tunes of each method on SST-2, for `spigot-compare --space`.
local lr = { 'trainer.optimizer.lr': { type: 'float', low: 3e-4, high: 2e-3, log: true } };
{
  spigot: lr { 'model.intermediate.step_size': { type: 'float', low: 0.1, high: 10.0, log: true } },
  straight_through: lr,
  structured_attention: lr,
  pipeline: lr,
}
