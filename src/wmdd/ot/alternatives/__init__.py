"""Other summaries of a class than the exact barycenter, for the ablation; all measured exactly (`following`).

Every solver takes a `Problem` of one measure and stops after `iterations`, or as soon as nothing changes.

Raises:
    ConfigError: a setting is out of range, or the points are several measures.
    NumericsError: the transport problem that gives the cost could not be solved.
"""
