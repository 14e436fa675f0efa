"""Train end to end through hard structured decisions. [`plugin`](./plugin.md) registers all of it with AllenNLP."""
