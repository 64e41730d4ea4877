"""What a campaign is made of: pool, labels, queries. Parsing and checking, no paths."""
