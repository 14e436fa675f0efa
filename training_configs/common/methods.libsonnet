// How the gradient passes the intermediate structure: the one thing in which the methods differ. Over a config that has
// another method, one takes its place; the structure and the warm-up stay. Over a config that has it, it changes nothing.
//
// `options`: what a method has in these configs. `taken`: those of its options that a config may have as hidden fields.
local method(type, options={}, taken=[]) = {
  local config = self,
  model+: {
    local before = if 'intermediate' in super then super.intermediate,
    intermediate:
      if before == null then error 'expected a config with model.intermediate, found none'
      else if std.objectHas(before, 'type') && before.type == type then before
      else { [key]: before[key] for key in ['structure', 'warm_up'] if std.objectHas(before, key) }
           + { type: type } + options
           + { [key]: config[key] for key in taken if std.objectHasAll(config, key) },
  },
};
local step = ['step_size', 'max_gradient_norm'];
{
  spigot: method('spigot', { step_size: 1.0, max_gradient_norm: 1.0, polytope: 'local' }, step),
  spigot_ce: method('spigot_ce', { step_size: 1.0, max_gradient_norm: 1.0, polytope: 'local' }, step),
  spigot_eg: method('spigot_eg', { step_size: 1.0, max_gradient_norm: 1.0 }, step),
  straight_through: method('straight_through', taken=step),
  identity: method('identity', taken=step),
  structured_attention: method('structured_attention', { hard_at_test: false }),
  sparsemap: method('sparsemap', { hard_at_test: false }),
  blackbox: method('blackbox'),
  imle: method('imle'),
  adaptive_imle: method('adaptive_imle'),
  pipeline: method('pipeline'),
}
