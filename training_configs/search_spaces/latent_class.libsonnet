// What docs/study.md tunes of each method on the latent class, for `spigot-compare --space`.
local lr = { 'trainer.optimizer.lr': { type: 'float', low: 1e-3, high: 3e-2, log: true } };
local step = lr { 'model.intermediate.step_size': { type: 'float', low: 0.1, high: 10.0, log: true } };
{
  spigot: step,
  spigot_ce: step,
  spigot_eg: step,
  straight_through: lr,
  structured_attention: lr,
  pipeline: lr,
}
