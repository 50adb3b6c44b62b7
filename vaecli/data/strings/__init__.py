"""A model of short strings: the probability of every byte given the bytes before it, and the kind of string."""
