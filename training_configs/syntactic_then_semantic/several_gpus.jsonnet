// `ewt_spigot.jsonnet` on two GPUs of one machine. Each reads a half of the sentences, and has batches of its own.
(import 'ewt_spigot.jsonnet') + {
  distributed: { cuda_devices: [0, 1] },
}
