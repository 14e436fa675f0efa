// What the package adds to the framework's trainer: exact recovery, and the figures of one process from several.
{
  trainer: { type: 'spigot' },
}
