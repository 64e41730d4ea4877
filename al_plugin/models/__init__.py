"""Networks and the loop that fits them. Only the train and score stages import this floor."""
