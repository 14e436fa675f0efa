(import 'base.libsonnet') + (import '../common/methods.libsonnet').straight_through + {
  model+: { intermediate+: { step_size: $.step_size, max_gradient_norm: $.max_gradient_norm } },
}
