"""Are two methods to be told apart? What `spigot-compare` computes and writes."""
