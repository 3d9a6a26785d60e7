"""How bytes become a durable mail: one sink, one receiver, one door for each protocol."""
