// How the gradient passes the intermediate structure: the one thing in which the methods differ.
{
  spigot: { model+: { intermediate+: { type: 'spigot', step_size: 1.0, max_gradient_norm: 1.0, polytope: 'local' } } },
  straight_through: { model+: { intermediate+: { type: 'straight_through' } } },
  structured_attention: { model+: { intermediate+: { type: 'structured_attention', hard_at_test: false } } },
  pipeline: { model+: { intermediate+: { type: 'pipeline' } } },
}
