(import 'base.libsonnet') + (import '../common/methods.libsonnet').spigot + {
  model+: { intermediate+: { step_size: $.step_size, max_gradient_norm: $.max_gradient_norm } },
}
