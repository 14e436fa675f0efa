// The classifier without a parser, on labels alone: what the others have to beat. Of the environment it needs
// SPIGOT_SENTIMENT_TRAIN, SPIGOT_SENTIMENT_DEV and SPIGOT_GLOVE.
local text = import '../common/text.libsonnet';

(import 'base.libsonnet') + (import 'labels_only.libsonnet') + {
  vocabulary: text.vocabulary($.glove),
  model+: { semantic_parser:: null, intermediate:: null, pruning_threshold:: null },
}
