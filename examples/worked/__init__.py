"""Worked examples: small sets of every modality type, made on the spot, each trained over HTTP in under a minute."""
