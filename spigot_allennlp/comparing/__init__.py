"""Whether two methods are to be told apart."""
