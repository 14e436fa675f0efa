// How both pipelines are trained.
{
  // What this package adds to the framework's trainer: docs/training.md.
  trainer:: { type: 'spigot' },

  // Adam, with what some weights have of their own: pairs of a regular expression for their names and their settings.
  // `fused`, an option of PyTorch, which the framework passes on by groups alone: the same update, several times faster.
  adam(lr, groups=[['.*', {}]]):: {
    type: 'adam',
    lr: lr,
    weight_decay: 1e-6,
    parameter_groups: [[[group[0]], group[1] { fused: true }] for group in groups],
  },

  // The learning rate, halved every so many epochs.
  halved_every(epochs):: { type: 'step', step_size: epochs, gamma: 0.5 },

  // Batches of sentences of like length that have so many tokens, ROOT and padding included. A longer one goes alone.
  batches(batch_tokens):: { type: 'spigot_max_tokens', max_tokens: batch_tokens },

  // Batches of several tasks in random order, of some tasks a fraction in each epoch.
  tasks(batch_tokens, fractions={}):: {
    type: 'multitask',
    scheduler: { type: 'spigot_interleaved', batch_sampler: $.batches(batch_tokens), fractions: fractions },
  },
}
