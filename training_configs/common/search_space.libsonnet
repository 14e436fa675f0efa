// What a study tunes of each of its methods, for `spigot-compare --space`: the learning rate and, of SPIGOT's rules, the step size.
function(methods, low, high) {
  local log(low, high) = { type: 'float', low: low, high: high, log: true },
  [method]: { 'trainer.optimizer.lr': log(low, high) }
            + if std.startsWith(method, 'spigot') then { 'model.intermediate.step_size': log(0.1, 10.0) } else {}
  for method in methods
}
